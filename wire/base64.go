package wire

import (
	"errors"
	"slices"

	"github.com/segmentio/asm/base64"
)

// ErrBase64 is returned for what is not base64 as pinned by appendDecoded.
var ErrBase64 = errors.New("wire: bad base64")

var base64Codec = base64.StdEncoding.Strict()

func encodedLen(n int) int { return (n + 2) / 3 * 4 }

// appendBase64 appends the base64 of data.
func appendBase64(dst, data []byte) []byte {
	n := encodedLen(len(data))
	dst = slices.Grow(dst, n)
	base64Codec.Encode(dst[len(dst):len(dst)+n], data)
	return dst[:len(dst)+n]
}

// decodedLen returns the number of bytes that src stands for, 0 if its length is
// not a multiple of four.
func decodedLen(src []byte) int {
	if len(src) == 0 || len(src)%4 != 0 {
		return 0
	}
	n := len(src) / 4 * 3
	if src[len(src)-1] == '=' {
		n--
		if src[len(src)-2] == '=' {
			n--
		}
	}
	return n
}

// appendDecoded appends the bytes that src stands for. Accepted is exactly one
// spelling of each sequence of bytes (RFC 4648 section 4): the standard
// alphabet, padding present, unused bits zero, no line breaks. The library skips
// CR and LF as encoding/base64 does; each four of them make the result three
// bytes shorter than its length says, and that is how they are found.
func appendDecoded(dst, src []byte) ([]byte, error) {
	if len(src)%4 != 0 {
		return dst, ErrBase64
	}
	n := decodedLen(src)
	start := len(dst)
	// Room for the padding too: the library wants it, the result does not show it.
	dst = slices.Grow(dst, len(src)/4*3)
	got, err := base64Codec.Decode(dst[start:start+len(src)/4*3], src)
	if err != nil || got != n {
		return dst[:start], ErrBase64
	}
	return dst[:start+n], nil
}
