package folder

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// ErrNoSuchPath is wrapped by the error for a path that the folder does not have.
var ErrNoSuchPath = errors.New("the folder has no such path")

// Selection says which files of a folder are meant. The zero value means all that are not hidden.
//
// A pattern is one of path.Match for each part of a path; ** stands for any number of parts. It fits what it names
// and everything below. Without a slash in it, it may stand for any part: *.iso for files anywhere, testdata for every
// folder of that name. A slash at its beginning means the top of the folder.
type Selection struct {
	Under   string   // a file, or a folder whose files are meant and whose paths begin behind it; "": the whole
	Include []string // only what fits one of them, if there is one
	Exclude []string // what fits one of them is left out, also if it is included
	Hidden  bool     // also the hidden ones; Under means them anyway
	Places  string   // as 0,2,5-9: of the whole folder only those, by their place in it from 0; "": all
}

// Check says which pattern is malformed.
func (s Selection) Check() error {
	for _, glob := range append(s.Include[:len(s.Include):len(s.Include)], s.Exclude...) {
		if _, err := path.Match(glob, ""); err != nil || strings.Trim(glob, "/") == "" {
			return fmt.Errorf("%q is not a pattern", glob)
		}
	}
	_, err := parsePlaces(s.Places)
	return err
}

// Files are the files that are meant, with their paths from Under on; alone: Under is a file. Patterns are
// matched against the paths of the whole folder.
func (s Selection) Files(f Folder) (files []File, alone bool, err error) {
	if err := s.Check(); err != nil {
		return nil, false, err
	}
	places, _ := parsePlaces(s.Places)
	under := strings.Trim(s.Under, "/")
	if under != "" {
		i, ok := f.find(under)
		if !ok {
			i, ok = f.findNormal(under)
		}
		if ok {
			file := f.Files[i]
			file.Path = path.Base(file.Path)
			return []File{file}, true, nil
		}
	}
	there := under == ""
	for i, file := range f.Files {
		rest := file.Path
		if under != "" {
			var ok bool
			if rest, ok = below(under, file.Path); !ok {
				continue
			}
			there = true
		}
		switch {
		case !places.has(i), !s.Hidden && file.Hidden && (under == "" || dotted(rest)):
		case len(s.Include) > 0 && !fitsAny(s.Include, file.Path), fitsAny(s.Exclude, file.Path):
		default:
			file.Path = rest
			files = append(files, file)
		}
	}
	if !there {
		return nil, false, fmt.Errorf("%s: %w", quote(under), ErrNoSuchPath)
	}
	return files, false, nil
}

// findNormal finds a file whose path is the same in normal form: links are in NFC, files as their systems made them.
func (f Folder) findNormal(path string) (int, bool) {
	want := norm.NFC.String(path)
	for i, file := range f.Files {
		if len(file.Path) <= 3*len(want) && norm.NFC.String(file.Path) == want {
			return i, true
		}
	}
	return 0, false
}

// below is the path behind a folder.
func below(folder, path string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(path, folder+"/"); ok {
		return rest, true
	}
	// As many parts, the same in normal form.
	at := 0
	for range strings.Count(folder, "/") + 1 {
		i := strings.IndexByte(path[at:], '/')
		if i < 0 {
			return "", false
		}
		at += i + 1
	}
	if norm.NFC.String(path[:at-1]) != norm.NFC.String(folder) {
		return "", false
	}
	return path[at:], true
}

func fitsAny(globs []string, p string) bool {
	for _, glob := range globs {
		if fits(glob, p) {
			return true
		}
	}
	return false
}

// fits says whether a well-formed pattern names a path or a folder above it.
func fits(glob, p string) bool {
	anchored := strings.HasPrefix(glob, "/")
	pattern := strings.Split(strings.Trim(glob, "/"), "/")
	if len(pattern) == 1 && !anchored {
		pattern = []string{"**", pattern[0]}
	}
	// at[i]: the parts of the path so far are those of the pattern up to i.
	at := make([]bool, len(pattern)+1)
	at[0] = true
	skip := func() { // ** may stand for nothing
		for i, part := range pattern {
			if at[i] && part == "**" && i+1 < len(pattern) {
				at[i+1] = true
			}
		}
	}
	skip()
	for part := range strings.SplitSeq(p, "/") {
		next := make([]bool, len(at))
		for i, want := range pattern {
			if !at[i] {
				continue
			}
			if want == "**" {
				next[i], next[i+1] = true, true
			} else if ok, _ := path.Match(want, part); ok {
				next[i+1] = true
			}
		}
		at = next
		skip()
		if at[len(pattern)] {
			return true
		}
	}
	return false
}

// places are ranges of numbers, both ends in; nil: all.
type places [][2]int

func (p places) has(i int) bool {
	if p == nil {
		return true
	}
	for _, r := range p {
		if r[0] <= i && i <= r[1] {
			return true
		}
	}
	return false
}

// parsePlaces reads 0,2,5-9.
func parsePlaces(text string) (p places, err error) {
	if text == "" {
		return nil, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(one, "-")
		a, err := strconv.ParseUint(from, 10, 31)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(to, 10, 31)
		}
		if err != nil || b < a {
			return nil, fmt.Errorf("%s is not a selection such as 0,2,5-9", quote(text))
		}
		p = append(p, [2]int{int(a), int(b)})
	}
	return p, nil
}
