package wire

// WhereAreThey asks where a key was last seen; the answer is Forwarded.
type WhereAreThey struct{ Ed25519 [32]byte }

func (WhereAreThey) Name() string { return "WhereAreThey" }

func (m WhereAreThey) AppendPayload(dst []byte) []byte {
	return append(appendHex(dst, `{"ed25519h":`, &m.Ed25519), '}')
}

// ParseWhereAreThey needs the key.
func ParseWhereAreThey(payload []byte) (WhereAreThey, error) {
	const name = "WhereAreThey"
	var m WhereAreThey
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		if string(o.name) == "ed25519h" {
			m.Ed25519, ok = o.hex32()
			found = true
		} else {
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if err == nil && !found {
		err = refuse(name, "ed25519h")
	}
	if err != nil {
		return WhereAreThey{}, err
	}
	return m, nil
}
