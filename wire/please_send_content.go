package wire

import "math"

// PleaseSendContent asks for a run of bytes of a content.
type PleaseSendContent struct {
	ID     []byte // not empty; aliases the payload unless it had escapes
	Offset int64  // bytes, >= 0
	Length int64  // bytes, >= 1; Offset+Length does not overflow
	Raw    Handle // asks for a raw answer under this handle; 0: not asked for
	Each   int64  // of a raw answer: asks for datagrams of so many bytes of content each; 0: for one
}

func (PleaseSendContent) Name() string { return "PleaseSendContent" }

func (m PleaseSendContent) AppendPayload(dst []byte) []byte {
	dst = appendText(dst, `{"id":`, m.ID)
	dst = appendInt(dst, `,"offset":`, m.Offset)
	dst = appendInt(dst, `,"length":`, m.Length)
	if m.Raw != 0 {
		dst = appendInt(dst, `,"raw":`, int64(m.Raw))
		if m.Each > 0 {
			dst = appendInt(dst, `,"each":`, m.Each)
		}
	}
	return append(dst, '}')
}

// ParsePleaseSendContent needs all three fields. A length that reaches beyond
// the largest int64 is shortened to it. A raw that is no handle asks for nothing, and so does each without it.
func ParsePleaseSendContent(payload []byte) (PleaseSendContent, error) {
	const name = "PleaseSendContent"
	m := PleaseSendContent{Offset: -1}
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "id":
			m.ID, ok = o.text()
		case "offset":
			m.Offset, ok = o.integer(0)
		case "length":
			m.Length, ok = o.integer(1)
		case "raw":
			m.Raw, ok = o.handle()
		case "each":
			m.Each, ok = o.count()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case len(m.ID) == 0:
		err = refuse(name, "id")
	case m.Offset < 0:
		err = refuse(name, "offset")
	case m.Length < 1 || m.Offset == math.MaxInt64:
		err = refuse(name, "length")
	}
	if err != nil {
		return PleaseSendContent{}, err
	}
	if m.Length = min(m.Length, math.MaxInt64-m.Offset); m.Raw == 0 || m.Each < 0 {
		m.Each = 0
	}
	return m, nil
}
