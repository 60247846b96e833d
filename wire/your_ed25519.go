package wire

// YourEd25519 greets a page: the key of the node that it talks to.
type YourEd25519 struct{ Ed25519 [32]byte }

func (YourEd25519) Name() string { return "YourEd25519" }

func (m YourEd25519) AppendPayload(dst []byte) []byte {
	return append(appendHex(dst, `{"ed25519":`, &m.Ed25519), '}')
}

// ParseYourEd25519 needs the key.
func ParseYourEd25519(payload []byte) (YourEd25519, error) {
	const name = "YourEd25519"
	var m YourEd25519
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		if string(o.name) == "ed25519" {
			m.Ed25519, ok = o.hex32()
			found = true
		} else {
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if err == nil && !found {
		err = refuse(name, "ed25519")
	}
	if err != nil {
		return YourEd25519{}, err
	}
	return m, nil
}
