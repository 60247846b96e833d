package wire

// FastEncryptedMessages is an array of messages under AES-256-GCM with a key that two
// peers share for ever.
type FastEncryptedMessages struct {
	Nonce      [12]byte
	Sender     [32]byte // Ed25519
	Ciphertext []byte
}

func (FastEncryptedMessages) Name() string { return "FastEncryptedMessages" }

func (m FastEncryptedMessages) AppendPayload(dst []byte) []byte {
	dst = appendBytes(dst, `{"nonce":`, m.Nonce[:])
	dst = appendHex(dst, `,"sender":`, &m.Sender)
	return append(appendBytes(dst, `,"ciphertext":`, m.Ciphertext), '}')
}

// ParseFastEncryptedMessages needs all three fields.
func ParseFastEncryptedMessages(payload []byte) (FastEncryptedMessages, error) {
	const name = "FastEncryptedMessages"
	var m FastEncryptedMessages
	nonce, sender := false, false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "nonce":
			ok = o.decodedInto(m.Nonce[:])
			nonce = true
		case "sender":
			m.Sender, ok = o.hex32()
			sender = true
		case "ciphertext":
			m.Ciphertext, ok = o.decoded()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case !nonce:
		err = refuse(name, "nonce")
	case !sender:
		err = refuse(name, "sender")
	case m.Ciphertext == nil:
		err = refuse(name, "ciphertext")
	}
	if err != nil {
		return FastEncryptedMessages{}, err
	}
	return m, nil
}
