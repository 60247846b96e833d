package wire

// EncryptedMessages is the first message of a Noise handshake whose payload is an
// array of messages.
type EncryptedMessages struct {
	Data   []byte // the handshake message
	Params []byte // the Noise protocol's name; aliases the payload unless it had escapes
}

func (EncryptedMessages) Name() string { return "EncryptedMessages" }

func (m EncryptedMessages) AppendPayload(dst []byte) []byte {
	dst = appendBytes(dst, `{"base64":`, m.Data)
	return append(appendText(dst, `,"noise_params":`, m.Params), '}')
}

// ParseEncryptedMessages needs both fields.
func ParseEncryptedMessages(payload []byte) (EncryptedMessages, error) {
	const name = "EncryptedMessages"
	var m EncryptedMessages
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "base64":
			m.Data, ok = o.decoded()
		case "noise_params":
			m.Params, ok = o.text()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case m.Data == nil:
		err = refuse(name, "base64")
	case m.Params == nil:
		err = refuse(name, "noise_params")
	}
	if err != nil {
		return EncryptedMessages{}, err
	}
	return m, nil
}
