package wire

// GetLatest asks what a publisher's name stands for now; the answer is a SignedMessage
// that holds Latest.
type GetLatest struct {
	Ed25519 [32]byte // the publisher
	Path    []byte   // the name, not empty; aliases the payload unless it had escapes. It may be no safe path
}

func (GetLatest) Name() string { return "GetLatest" }

func (m GetLatest) AppendPayload(dst []byte) []byte {
	dst = appendHex(dst, `{"ed25519":`, &m.Ed25519)
	return append(appendText(dst, `,"name":`, m.Path), '}')
}

// ParseGetLatest needs both fields.
func ParseGetLatest(payload []byte) (GetLatest, error) {
	const name = "GetLatest"
	var m GetLatest
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "ed25519":
			m.Ed25519, ok = o.hex32()
			found = true
		case "name":
			m.Path, ok = o.text()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case !found:
		err = refuse(name, "ed25519")
	case len(m.Path) == 0:
		err = refuse(name, "name")
	}
	if err != nil {
		return GetLatest{}, err
	}
	return m, nil
}
