package wire

import "net/netip"

// Forwarded passes on messages that the sender says it had from somebody else.
type Forwarded struct {
	Src      netip.AddrPort
	From     *[32]byte // Ed25519 key that the sender found proven; nil: none
	Maybe    *[32]byte // key that the original sender only claims; nil: none
	Messages []byte    // a datagram's array, as text; aliases the payload unless it had escapes
	Spoofed  bool      // might_be_ip_spoofing: Src may be forged. True where it is not said
}

func (Forwarded) Name() string { return "Forwarded" }

func (m Forwarded) AppendPayload(dst []byte) []byte {
	var buf [maxAddrText]byte
	dst = appendText(dst, `{"src":`, netip.AddrPortFrom(m.Src.Addr().Unmap(), m.Src.Port()).AppendTo(buf[:0]))
	if m.From != nil {
		dst = appendHex(dst, `,"from_ed25519":`, m.From)
	} else {
		dst = append(dst, `,"from_ed25519":null`...)
	}
	if m.Maybe != nil {
		dst = appendHex(dst, `,"maybe_ed25519":`, m.Maybe)
	}
	dst = appendText(dst, `,"messages":`, m.Messages)
	if m.Spoofed {
		return append(dst, `,"might_be_ip_spoofing":true}`...)
	}
	return append(dst, `,"might_be_ip_spoofing":false}`...)
}

// ParseForwarded needs src, an address, and messages. Keys that are none are passed over.
func ParseForwarded(payload []byte) (Forwarded, error) {
	const name = "Forwarded"
	m := Forwarded{Spoofed: true}
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "src":
			var t []byte
			if t, ok = o.text(); ok {
				m.Src, ok = parseAddr(t)
			}
		case "from_ed25519":
			m.From, ok = o.maybeHex32()
		case "maybe_ed25519":
			m.Maybe, ok = o.maybeHex32()
		case "messages":
			m.Messages, ok = o.text()
		case "might_be_ip_spoofing":
			m.Spoofed, ok = o.boolean()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case !m.Src.IsValid():
		err = refuse(name, "src")
	case m.Messages == nil:
		err = refuse(name, "messages")
	}
	if err != nil {
		return Forwarded{}, err
	}
	return m, nil
}
