package link

import (
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxName is the longest file name in bytes that the usual file systems take.
const MaxName = 255

// maxExt is the longest extension, with its dot, that survives a cut.
const maxExt = 16

// SafeName makes a stranger's name into one that can be given to a new file in the
// current folder, on any system: one part of a path, valid UTF-8 in NFC, at most
// [MaxName] bytes (the extension survives the cut), no control or text-direction
// characters, no leading dot or space, no trailing dot or space, none of the
// characters and device names that Windows reserves. It is "" if nothing is left.
// SafeName(SafeName(x)) == SafeName(x).
//
// One rule for all systems, so that a name does not change when a file is moved to
// a memory stick: the reserved characters become '_'.
func SafeName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\<>:"|?*`, r):
			return '_'
		case r == utf8.RuneError:
			return '_' // also each byte that is not UTF-8
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r), invisible(r):
			return -1
		}
		return r
	}, name)
	name = trimName(norm.NFC.String(name))
	// A cut can leave a reserved name ("CON", 300 spaces, "x"), and its mark makes the
	// name longer: two rounds settle both.
	for range 2 {
		if Reserved(name) {
			name = "_" + name
		}
		if len(name) > MaxName {
			ext := filepath.Ext(name)
			if len(ext) > maxExt {
				ext = ""
			}
			name = trimName(cut(name[:len(name)-len(ext)], MaxName-len(ext))) + ext
		}
	}
	return name
}

// invisible is true of the characters that reorder or hide others, so that
// "gpj.exe" can look like "exe.jpg": bidi controls, separators, byte order mark.
func invisible(r rune) bool {
	return unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\uFEFF'
}

func trimName(name string) string {
	return strings.TrimFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
}

// cut shortens s to at most n bytes at the boundary of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Reserved is true of the names that are devices on Windows, whatever their
// extension: CON, PRN, AUX, NUL, COM0-9, LPT0-9 (also with superscript digits).
func Reserved(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRightFunc(base, unicode.IsSpace))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	rest, ok := strings.CutPrefix(base, "COM")
	if !ok {
		rest, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && utf8.RuneCountInString(rest) == 1 && strings.Contains("0123456789¹²³", rest)
}
