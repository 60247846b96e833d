package wire

// MyPublicKey says which key the sender claims to hold. It proves nothing.
type MyPublicKey struct {
	Ed25519   [32]byte
	EthSigned []byte // signature of the key by a web wallet, as text that is passed on unread; nil: none
}

func (MyPublicKey) Name() string { return "MyPublicKey" }

func (m MyPublicKey) AppendPayload(dst []byte) []byte {
	dst = appendHex(dst, `{"ed25519h":`, &m.Ed25519)
	if m.EthSigned != nil {
		dst = appendText(dst, `,"ed25519_eth_signed":`, m.EthSigned)
	}
	return append(dst, '}')
}

// ParseMyPublicKey needs the key. A wallet's signature that is no string is passed over.
func ParseMyPublicKey(payload []byte) (MyPublicKey, error) {
	const name = "MyPublicKey"
	var m MyPublicKey
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "ed25519h":
			m.Ed25519, ok = o.hex32()
			found = true
		case "ed25519_eth_signed":
			if o.at('"') {
				m.EthSigned, ok = o.text()
			} else {
				ok = o.pass()
			}
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if err == nil && !found {
		err = refuse(name, "ed25519h")
	}
	if err != nil {
		return MyPublicKey{}, err
	}
	return m, nil
}
