package wire

import "encoding/base64"

// Keys, hashes and nonces of fixed length, as text. What they mean is no business
// of this package: 32 bytes need be no point of the curve.

// hex32 reads a string of 64 hex digits, which may have 0x before them. Any other
// string is refused.
func (c *cursor) hex32() (b [32]byte, ok bool) {
	t, ok := c.text()
	if !ok {
		return b, false
	}
	if len(t) == 66 && t[0] == '0' && t[1] == 'x' {
		t = t[2:]
	}
	if len(t) != 64 {
		return b, false
	}
	for i := range b {
		high, low := nibble[t[2*i]], nibble[t[2*i+1]]
		if (high|low)&0xF0 != 0 {
			return [32]byte{}, false
		}
		b[i] = high<<4 | low
	}
	return b, true
}

// maybeHex32 reads what hex32 does; nil for any other value.
func (c *cursor) maybeHex32() (b *[32]byte, ok bool) {
	v, ok := c.value()
	if !ok {
		return nil, false
	}
	inner := cursor{data: v, depth: c.depth}
	if b, ok := inner.hex32(); ok {
		return &b, true
	}
	return nil, true
}

// decoded reads a string of base64, in an array of its own.
func (c *cursor) decoded() (data []byte, ok bool) {
	t, ok := c.text()
	if !ok {
		return nil, false
	}
	data, err := appendDecoded(make([]byte, 0, len(t)/4*3), t)
	if err != nil {
		return nil, false
	}
	return data, true
}

// decodedInto reads a string of base64 that stands for exactly as many bytes as to has.
func (c *cursor) decodedInto(to []byte) bool {
	t, ok := c.text()
	if !ok || len(t) != encodedLen(len(to)) || decodedLen(t) != len(to) {
		return false
	}
	var room [96]byte // the longest is a signature's 64 bytes, and the padding's room
	data, err := appendDecoded(room[:0], t)
	return err == nil && copy(to, data) == len(to)
}

// boolean reads true or false.
func (c *cursor) boolean() (b, ok bool) {
	v, ok := c.value()
	return string(v) == "true", ok && (string(v) == "true" || string(v) == "false")
}

// appendHex appends a field of hex digits; key is what stands before it.
func appendHex(dst []byte, key string, b *[32]byte) []byte {
	dst = append(append(dst, key...), '"')
	for _, c := range b {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, '"')
}

// appendBytes appends a field of base64. It takes the standard library's encoder: what is sealed
// or signed costs a hundred times as much as its base64, and arrays need not go to the heap for it.
func appendBytes(dst []byte, key string, data []byte) []byte {
	dst = append(append(dst, key...), '"')
	return append(base64.StdEncoding.AppendEncode(dst, data), '"')
}
