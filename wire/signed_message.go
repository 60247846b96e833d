package wire

// SignedMessage carries an array of messages as text, with an Ed25519 signature over
// exactly these bytes. It is not checked here.
type SignedMessage struct {
	Ed25519   [32]byte // who is said to have signed
	Signature [64]byte
	Payload   []byte // what was signed, itself a datagram's array; aliases the payload unless it had escapes
	Old       bool   // it came base64-encoded in "payload", and is sent so, instead of "payload_json"
}

func (SignedMessage) Name() string { return "SignedMessage" }

// AppendPayload writes payload_json as text: a signature over bytes that are no UTF-8
// survives in the old form only.
func (m SignedMessage) AppendPayload(dst []byte) []byte {
	dst = appendHex(dst, `{"ed25519":`, &m.Ed25519)
	dst = appendBytes(dst, `,"signature":`, m.Signature[:])
	if m.Old {
		dst = appendBytes(dst, `,"payload":`, m.Payload)
	} else {
		dst = appendText(dst, `,"payload_json":`, m.Payload)
	}
	return append(dst, '}')
}

// ParseSignedMessage needs key, signature and one of the two payloads; payload_json
// counts when both are there, as it does for the best-known node.
func ParseSignedMessage(payload []byte) (SignedMessage, error) {
	const name = "SignedMessage"
	var m SignedMessage
	var old []byte
	key, signature := false, false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch field := string(o.name); {
		case field == "ed25519":
			m.Ed25519, ok = o.hex32()
			key = true
		case field == "signature":
			ok = o.decodedInto(m.Signature[:])
			signature = true
		case field == "payload_json" && !o.at('n'):
			m.Payload, ok = o.text()
		case field == "payload" && !o.at('n'):
			old, ok = o.decoded()
		default:
			ok = o.pass()
		}
	}
	if m.Payload == nil && old != nil {
		m.Payload, m.Old = old, true
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case !key:
		err = refuse(name, "ed25519")
	case !signature:
		err = refuse(name, "signature")
	case m.Payload == nil:
		err = refuse(name, "payload_json")
	}
	if err != nil {
		return SignedMessage{}, err
	}
	return m, nil
}
