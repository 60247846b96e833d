package wire

import (
	"bytes"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Quotes, backslashes and control
// characters are escaped; each byte that is not part of valid UTF-8 becomes
// U+FFFD.
func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0 // of the bytes that need no change
	for i := 0; i < len(s); {
		c := s[i]
		if 0x20 <= c && c < 0x80 && c != '"' && c != '\\' {
			i++
			continue
		}
		n := 1
		if c >= 0x80 {
			var r rune
			r, n = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c >= 0x80:
			dst = append(dst, "\uFFFD"...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i += n
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendUnescaped appends what the inside of a JSON string means. s has been
// validated by skipString.
func appendUnescaped(dst, s []byte) []byte {
	dst = slices.Grow(dst, len(s)) // no escape is shorter than what it stands for
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			n := bytes.IndexByte(s[i:], '\\')
			if n < 0 {
				n = len(s) - i
			}
			dst = append(dst, s[i:i+n]...)
			i += n
			continue
		}
		if c := unescaped[s[i+1]]; c != 0 {
			dst = append(dst, c)
			i += 2
			continue
		}
		r := rune(hex4(s, i+2))
		i += 6
		if utf16.IsSurrogate(r) { // its other half follows: skipUnicode saw to it
			r = utf16.DecodeRune(r, rune(hex4(s, i+2)))
			i += 6
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
