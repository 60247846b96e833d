package wire

import "net/netip"

// Forward asks the local node to send messages on, to a key or to an address. It is said by
// pages and programs of the same machine, and means nothing from anybody else.
type Forward struct {
	To       *[32]byte      // Ed25519 key of the receiver; nil: Src is meant
	Src      netip.AddrPort // address of the receiver, where it was heard from; it counts before To
	Messages []byte         // the array, as it came; aliases the payload
	Sign     bool           // the array is to be signed
}

func (Forward) Name() string { return "Forward" }

func (m Forward) AppendPayload(dst []byte) []byte {
	var buf [maxAddrText]byte
	dst = append(dst, '{')
	if m.Src.IsValid() {
		dst = appendText(dst, `"src":`, netip.AddrPortFrom(m.Src.Addr().Unmap(), m.Src.Port()).AppendTo(buf[:0]))
		dst = append(dst, ',')
	}
	if m.To != nil {
		dst = append(appendHex(dst, `"to_ed25519":`, m.To), ',')
	}
	dst = append(append(dst, `"messages":`...), m.Messages...)
	if m.Sign {
		dst = append(dst, `,"sign":true`...)
	}
	return append(dst, '}')
}

// ParseForward needs messages, an array, and a receiver.
func ParseForward(payload []byte) (Forward, error) {
	const name = "Forward"
	var m Forward
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch field := string(o.name); {
		case field == "to_ed25519":
			m.To, ok = o.maybeHex32()
		case field == "src" && !o.at('n'):
			var t []byte
			if t, ok = o.text(); ok {
				m.Src, ok = parseAddr(t)
			}
		case field == "messages" && o.at('['):
			m.Messages, ok = o.value()
		case field == "sign" && !o.at('n'):
			m.Sign, ok = o.boolean()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case m.Messages == nil:
		err = refuse(name, "messages")
	case m.To == nil && !m.Src.IsValid():
		err = refuse(name, "to_ed25519")
	}
	if err != nil {
		return Forward{}, err
	}
	return m, nil
}
