package wire

import (
	"math"
	"slices"
)

// Content is a run of bytes of a content: in base64, or, to who asked for that, raw behind the array (raw.go).
type Content struct {
	ID     []byte  // not empty unless For is set; aliases the payload unless it had escapes
	For    Handle  // of a raw answer, in place of ID: what the asker gave; 0: in base64
	Raw    int     // of a raw answer: bytes behind the array, len(Data) unless Data is nil
	Offset int64   // of the first byte, >= 0
	Data   []byte  // to be sent: encoded as base64, or by who sends it put behind the array. Not set by ParseContent
	Base64 []byte  // as received, not yet decoded: see AppendData. Sent if Data is nil
	EOF    int64   // size of the whole content in bytes, -1: not said
	Have   []Range // what the sender holds, at most 16; nil: not said (wire.md section 12)
	BLAKE3 []byte  // claimed hash of the whole content, 64 hex digits; nil: not said
}

func (Content) Name() string { return "Content" }

func (m Content) AppendPayload(dst []byte) []byte {
	if m.For != 0 {
		return m.appendRaw(dst)
	}
	// One growth for the bulk; the constant is for ids, numbers and keys.
	dst = slices.Grow(dst, max(encodedLen(len(m.Data)), len(m.Base64))+256)
	dst = appendText(dst, `{"id":`, m.ID)
	dst = appendInt(dst, `,"offset":`, m.Offset)
	if m.Data == nil {
		dst = appendText(dst, `,"base64":`, m.Base64)
	} else {
		dst = append(dst, `,"base64":"`...)
		dst = appendBase64(dst, m.Data)
		dst = append(dst, '"')
	}
	return m.appendHints(dst)
}

// appendHints appends what may be missing, and the closing brace.
func (m Content) appendHints(dst []byte) []byte {
	if m.EOF >= 0 {
		dst = appendInt(dst, `,"eof":`, m.EOF)
	}
	dst = appendHave(dst, m.Have)
	if m.BLAKE3 != nil {
		dst = appendText(dst, `,"blake3":`, m.BLAKE3)
	}
	return append(dst, '}')
}

// DecodedLen returns how many bytes AppendData will append, and 0 if Base64
// cannot be decoded for its length. It is for answers in base64.
func (m Content) DecodedLen() int { return decodedLen(m.Base64) }

// AppendData appends the bytes that were received. On an error (ErrBase64) dst
// is returned as it was.
func (m Content) AppendData(dst []byte) ([]byte, error) { return appendDecoded(dst, m.Base64) }

// ParseContent needs id, offset and base64, which it does not decode, or raw, for and
// offset, of a raw answer; where there is base64 the other two count for nothing. eof may be
// missing or null. The hints have and blake3 are passed over when they are not
// well formed. Offset plus any length that fits in a datagram does not overflow.
func ParseContent(payload []byte) (Content, error) {
	const name = "Content"
	m := Content{Offset: -1, EOF: -1}
	raw := int64(-1)
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "id":
			m.ID, ok = o.text()
		case "offset":
			m.Offset, ok = o.integer(0)
		case "base64":
			m.Base64, ok = o.text()
		case "raw":
			raw, ok = o.count()
		case "for":
			m.For, ok = o.handle()
		case "eof":
			if o.at('n') {
				ok = o.pass()
			} else {
				m.EOF, ok = o.integer(0)
			}
		case "have":
			m.Have, ok = o.have()
		case "blake3":
			m.BLAKE3, ok = o.hash()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if m.Base64 != nil || raw < 0 || raw > MaxDatagram {
		m.For = 0
	}
	if m.For != 0 {
		m.ID, m.Raw = nil, int(raw)
	}
	switch {
	case err != nil:
	case len(m.ID) == 0 && m.For == 0:
		err = refuse(name, "id")
	case m.Offset < 0 || m.Offset > math.MaxInt64-MaxDatagram:
		err = refuse(name, "offset")
	case m.Base64 == nil && m.For == 0:
		err = refuse(name, "base64")
	}
	if err != nil {
		return Content{}, err
	}
	return m, nil
}

// hash reads a hint that is a string of 64 hex digits, and is nil for any other.
func (c *cursor) hash() (digits []byte, ok bool) {
	v, ok := c.value()
	if !ok || len(v) != 64+2 || v[0] != '"' {
		return nil, ok
	}
	digits = v[1:65:65]
	for _, d := range digits {
		if !('0' <= d && d <= '9' || 'a' <= d && d <= 'f' || 'A' <= d && d <= 'F') {
			return nil, true
		}
	}
	return digits, true
}
