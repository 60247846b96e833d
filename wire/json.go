package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/segmentio/asm/ascii"
)

// payloadDepth is the nesting around a payload: the datagram's array and the
// element's object.
const payloadDepth = 2

// skipSpace returns the index of the first byte from i on that is not JSON
// white space, or len(data).
func skipSpace(data []byte, i int) int {
	const space = 1<<' ' | 1<<'\n' | 1<<'\r' | 1<<'\t'
	for i < len(data) && data[i] <= ' ' && uint64(space)>>data[i]&1 != 0 {
		i++
	}
	return i
}

// skipValue returns the index after the JSON value that starts at data[i], or
// -1 if there is none that is valid and stays within MaxDepth. depth counts the
// arrays and objects around it.
func skipValue(data []byte, i, depth int) int {
	around := depth
	var objects uint64 // a stack of bits, the lowest is the innermost: 1 an object, 0 an array
	for {
		// A value starts here.
		if i >= len(data) {
			return -1
		}
		switch c := data[i]; c {
		case '{', '[':
			if depth++; depth > MaxDepth {
				return -1
			}
			if i = skipSpace(data, i+1); i >= len(data) {
				return -1
			}
			objects <<= 1
			if c == '{' {
				objects |= 1
			}
			if data[i] == c+2 { // empty; in ASCII a bracket closes two after where it opens
				break
			}
			if c == '{' {
				if i = skipKey(data, i); i < 0 {
					return -1
				}
			}
			continue
		case '"':
			i, _ = skipString(data, i+1)
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			if i+1 < len(data) && data[i+1] == ',' && c != '-' { // the cheapest value there is
				i++
			} else {
				i = skipNumber(data, i)
			}
		case 't':
			i = skipLiteral(data, i, "true")
		case 'f':
			i = skipLiteral(data, i, "false")
		case 'n':
			i = skipLiteral(data, i, "null")
		default:
			return -1
		}
		if i < 0 {
			return -1
		}
		// It ended: close what ends with it, up to a comma.
		for {
			if depth == around {
				return i
			}
			if i = skipSpace(data, i); i >= len(data) {
				return -1
			}
			inObject := objects&1 == 1
			c := data[i]
			if i++; c == ',' {
				if i = skipSpace(data, i); inObject {
					if i = skipKey(data, i); i < 0 {
						return -1
					}
				}
				break
			}
			if c != ']' && c != '}' || (c == '}') != inObject {
				return -1
			}
			depth--
			objects >>= 1
		}
	}
}

// skipKey returns the index of the value after the key that starts at data[i],
// or -1.
func skipKey(data []byte, i int) int {
	if i >= len(data) || data[i] != '"' {
		return -1
	}
	if i, _ = skipString(data, i+1); i < 0 {
		return -1
	}
	if i = skipSpace(data, i); i >= len(data) || data[i] != ':' {
		return -1
	}
	return skipSpace(data, i+1)
}

func skipLiteral(data []byte, i int, word string) int {
	if end := i + len(word); end <= len(data) && string(data[i:end]) == word {
		return end
	}
	return -1
}

// skipNumber returns the index after the number at data[i], of the grammar of
// RFC 8259 section 6, or -1.
func skipNumber(data []byte, i int) int {
	if data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if i = skipDigits(data, i); i < 0 {
		return -1
	}
	return skipFraction(data, i)
}

// skipFraction returns the index after the part of a number that may follow its
// integer, or -1.
func skipFraction(data []byte, i int) int {
	if i < len(data) && data[i] == '.' {
		if i = skipDigits(data, i+1); i < 0 {
			return -1
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		return skipDigits(data, i)
	}
	return i
}

// skipDigits returns the index after a run of digits, or -1 if it is empty.
func skipDigits(data []byte, i int) int {
	start := i
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// skipString returns the index after the closing quote of the string whose
// first byte is data[i], and whether it holds escapes. It returns -1 for what
// is not closed, not UTF-8, or holds a control character, an unknown escape or
// a lone surrogate.
func skipString(data []byte, i int) (end int, escaped bool) {
	for {
		i = skipPlain(data, i)
		if i >= len(data) {
			return -1, false
		}
		switch c := data[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			for len(data)-i >= 2 && data[i] == '\\' { // runs of escapes are where the time goes
				if unescaped[data[i+1]] != 0 {
					i += 2
				} else if i = skipUnicode(data, i+1); i < 0 {
					return -1, false
				}
			}
			if i == len(data)-1 && data[i] == '\\' {
				return -1, false
			}
		case c >= 0x80:
			if i = skipRunes(data, i); i < 0 {
				return -1, false
			}
		default:
			return -1, false
		}
	}
}

// Words of eight equal bytes. x-each*0x20 borrows into the high bit of every
// byte below 0x20, and (x^each*c)-each into that of every byte equal to c. A
// borrow can reach past a byte that was found, never before it, so the lowest
// high bit is exact.
const (
	each = 0x0101010101010101
	high = each * 0x80
)

// skipPlain returns the index of the first byte from i on that is a quote, a
// backslash, a control character or not ASCII; or len(data).
func skipPlain(data []byte, i int) int {
	for start := i; len(data)-i >= 8; i += 8 {
		if i-start == longAfter { // base64, nearly always
			i = skipLong(data, i)
			start = i + 1 // once
		}
		if len(data)-i < 8 {
			break
		}
		x := binary.LittleEndian.Uint64(data[i:])
		found := (x | (x - each*0x20) | ((x ^ each*'"') - each) | ((x ^ each*'\\') - each)) & high
		if found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
	}
	for i < len(data) && data[i] != '"' && data[i] != '\\' && 0x20 <= data[i] && data[i] < 0x80 {
		i++
	}
	return i
}

// What is plain for longAfter bytes is looked at with vectors, longWindow bytes at a time: a window
// that turns out to have ended soon costs little, so there is no input of which many are dear.
const (
	longAfter  = 64
	longWindow = 2048
)

// skipLong passes plain bytes from i on as skipPlain does, but may stop before the last.
func skipLong(data []byte, i int) int {
	for i < len(data) {
		window := data[i:min(i+longWindow, len(data))]
		if end := bytes.IndexByte(window, '"'); end >= 0 {
			window = window[:end]
		}
		if bytes.IndexByte(window, '\\') >= 0 || !ascii.ValidPrint(window) {
			return i
		}
		if i += len(window); len(window) < longWindow {
			return i
		}
	}
	return i
}

// skipQuoted returns the index after the closing quote of a string whose
// content is not looked at, or -1.
func skipQuoted(data []byte, i int) int {
	for i < len(data) {
		if data[i] == '\\' {
			i += 2
			continue
		}
		if data[i] == '"' {
			return i + 1
		}
		i++
		for ; len(data)-i >= 8; i += 8 {
			x := binary.LittleEndian.Uint64(data[i:])
			found := (((x ^ each*'"') - each) | ((x ^ each*'\\') - each)) & ^x & high
			if found != 0 {
				i += bits.TrailingZeros64(found) >> 3
				break
			}
		}
	}
	return -1
}

// unescaped is the byte that each escape of two bytes stands for, by its letter.
var unescaped = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// skipUnicode returns the index after the escape whose letter u is data[i], a
// surrogate pair being one escape; or -1.
func skipUnicode(data []byte, i int) int {
	if data[i] != 'u' {
		return -1
	}
	unit := hex4(data, i+1)
	i += 5
	if unit >= 0 && (unit < 0xD800 || unit > 0xDFFF) {
		return i
	}
	if unit < 0 || unit >= 0xDC00 || len(data)-i < 6 || data[i] != '\\' || data[i+1] != 'u' {
		return -1
	}
	if low := hex4(data, i+2); low < 0xDC00 || low > 0xDFFF {
		return -1
	}
	return i + 6
}

// nibble is the value of each hex digit, and has its high bits set for all other
// bytes.
var nibble = func() (t [256]uint8) {
	for c := range t {
		t[c] = 0xF0
	}
	for n := range uint8(10) {
		t['0'+n] = n
	}
	for n := range uint8(6) {
		t['a'+n], t['A'+n] = 10+n, 10+n
	}
	return t
}()

// hex4 returns the number that the four hex digits at data[i:] are, or -1.
func hex4(data []byte, i int) int {
	if len(data)-i < 4 {
		return -1
	}
	d := data[i : i+4 : i+4]
	a, b, c, e := nibble[d[0]], nibble[d[1]], nibble[d[2]], nibble[d[3]]
	if (a|b|c|e)&0xF0 != 0 {
		return -1
	}
	return int(a)<<12 | int(b)<<8 | int(c)<<4 | int(e)
}

// skipRunes returns the index of the first ASCII byte from i on, or -1 if the
// bytes before it are not UTF-8 (Unicode 3.9, table 3-7: no overlong forms, no
// surrogates, nothing above U+10FFFF).
func skipRunes(data []byte, i int) int {
	for i < len(data) && data[i] >= 0x80 {
		c := data[i]
		if 0xC2 <= c && c < 0xE0 && i+1 < len(data) && data[i+1]&0xC0 == 0x80 {
			i += 2
			continue
		}
		low, top, n := byte(0x80), byte(0xBF), 0
		switch {
		case c < 0xE0:
			return -1
		case c < 0xF0:
			n = 3
			if c == 0xE0 {
				low = 0xA0
			} else if c == 0xED {
				top = 0x9F
			}
		case c < 0xF5:
			n = 4
			if c == 0xF0 {
				low = 0x90
			} else if c == 0xF4 {
				top = 0x8F
			}
		default:
			return -1
		}
		if len(data)-i < n || data[i+1] < low || data[i+1] > top {
			return -1
		}
		if data[i+2]&0xC0 != 0x80 || n > 3 && data[i+3]&0xC0 != 0x80 {
			return -1
		}
		i += n
	}
	return i
}
