package wire

// Range is a run of bytes of a content, half-open: From <= i < To.
type Range struct{ From, To int64 }

// maxHave is how many ranges a message may carry (wire.md section 12).
const maxHave = 16

// have reads the hint "have". It is nil unless it is an array of well-formed
// pairs, 0 <= from < to: a hint never spoils the message that carries it. Pairs
// beyond the sixteenth are passed over. The result of an empty array is not nil:
// it says that the sender holds nothing.
func (c *cursor) have() (rs []Range, ok bool) {
	if !c.at('[') {
		return nil, c.pass()
	}
	rs = make([]Range, 0, c.room(maxHave))
	ok = c.array(func(i int) (ok bool) {
		if i >= maxHave || rs == nil {
			return c.pass()
		}
		var r Range
		var good bool
		good, ok = c.pair(
			func() (ok bool) { r.From, ok = c.integer(0); return ok },
			func() (ok bool) { r.To, ok = c.integer(1); return ok },
		)
		if good && r.From < r.To {
			rs = append(rs, r)
		} else {
			rs = nil
		}
		return ok
	})
	return rs, ok
}

// appendHave appends the field "have", or nothing if rs is nil.
func appendHave(dst []byte, rs []Range) []byte {
	if rs == nil {
		return dst
	}
	dst = append(dst, `,"have":[`...)
	for i, r := range rs[:min(len(rs), maxHave)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInt(dst, "[", r.From)
		dst = appendInt(dst, ",", r.To)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}
