package folder

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sharer/link"
)

// Stage is the folder, inside the one that is fetched into, that holds what has not arrived whole. No path of a
// manifest leads into it.
const Stage = ".sharer-part"

// CheckPath says what is wrong with a path of a manifest on any system; nil if it is well formed: relative, of
// parts that name something below, of characters that one sees.
func CheckPath(p string) error {
	switch {
	case p == "":
		return errors.New("is empty")
	case len(p) > MaxPath:
		return fmt.Errorf("has %d bytes, at most %d", len(p), MaxPath)
	case !utf8.ValidString(p):
		return errors.New("is not UTF-8")
	case p[0] == '/':
		return errors.New("is absolute")
	case strings.Count(p, "/") >= MaxDepth:
		return fmt.Errorf("is deeper than %d", MaxDepth)
	}
	for _, r := range p {
		if unicode.IsControl(r) || unseen(r) {
			return fmt.Errorf("holds the control character U+%04X", r)
		}
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "":
			return errors.New("has an empty part")
		case part == "." || part == "..":
			return fmt.Errorf("has the part %s", part)
		case len(part) > MaxPart:
			return fmt.Errorf("has a part of %d bytes, at most %d", len(part), MaxPart)
		}
	}
	if first, _, _ := strings.Cut(p, "/"); folded(first) == Stage {
		return errors.New("begins with a name that is kept for downloads")
	}
	return nil
}

// unseen is true of what ends a line, or turns the direction of text around so that "gpj.exe" looks like "exe.jpg". The
// marks that Arabic and Hebrew names use (U+200E, U+200F, U+061C) are not among them.
func unseen(r rune) bool {
	return r == '\u2028' || r == '\u2029' || r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069'
}

// folded is what file systems that know neither case nor normal forms make of a name, or coarser.
func folded(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
}

// Target is a kind of file system that a folder is fetched to.
type Target uint8

// The targets. Names are bytes, or are the same in either case and normal form, or have Windows' rules besides.
const (
	Bytes Target = iota
	Folding
	Windows
)

// TargetOf is what to expect of a system, by its name in Go.
func TargetOf(goos string) Target {
	switch goos {
	case "windows":
		return Windows
	case "darwin", "ios":
		return Folding
	}
	return Bytes
}

// Check finds files that the target cannot hold beside those before them: i is the index, err says why. Of names
// that it takes for one the first stays.
func (t Target) Check(files []File, found func(i int, err error)) {
	if t == Bytes {
		return
	}
	n := names{fold: cases.Fold(), taken: map[string]string{}}
	for i, f := range files {
		err := error(nil)
		if t == Windows {
			err = checkWindowsPath(f.Path)
		}
		if err == nil {
			err = n.take(f.Path)
		}
		if err != nil {
			found(i, err)
		}
	}
}

// names are the paths that are taken where some names are the same.
type names struct {
	fold  cases.Caser
	taken map[string]string // a path as the target sees it, to the one that has it; of folders with a slash
	last  string            // taken last
}

// take takes a path and the folders above it, or says what is in its way.
func (n *names) take(p string) error {
	// Those that it shares with the last one are its own. A hostile path is long and deep: this keeps the work in
	// proportion to the number of folders.
	shared := 0
	for i := 0; i < min(len(p), len(n.last)) && p[i] == n.last[i]; i++ {
		if p[i] == '/' {
			shared = i
		}
	}
	var as []string // of the path and the folders above it: as the target sees it, and as it is
	for d := p; len(d) > shared && d != "."; d = path.Dir(d) {
		key, as1 := norm.NFC.String(n.fold.String(norm.NFD.String(d))), d
		if d != p {
			as1 += "/"
		}
		if other, ok := n.taken[key]; ok && other != as1 {
			return fmt.Errorf("is the same as %s here", quote(other))
		}
		as = append(as, key, as1)
	}
	for i := 0; i < len(as); i += 2 {
		n.taken[as[i]] = as[i+1]
	}
	n.last = p
	return nil
}

func checkWindowsPath(p string) error {
	for part := range strings.SplitSeq(p, "/") {
		if err := checkWindows(part); err != nil {
			return err
		}
	}
	return nil
}

func checkWindows(part string) error {
	if i := strings.IndexAny(part, `<>:"|?*\`); i >= 0 {
		return fmt.Errorf("holds %c, which Windows does not take", part[i])
	}
	switch last := part[len(part)-1]; {
	case last == '.' || last == ' ':
		return errors.New("has a part that ends in a dot or a space, which Windows drops")
	case link.Reserved(part):
		return errors.New("has the name of a device of Windows")
	}
	return nil
}
