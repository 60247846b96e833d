package wire

// Latest says what a publisher's name stands for. It means something only inside a
// SignedMessage of that publisher.
type Latest struct {
	Ed25519 [32]byte  // the publisher
	Path    []byte    // the name, not empty; aliases the payload unless it had escapes. It may be no safe path
	SHA256  [32]byte  // of the whole content
	Seq     int64     // >= 0, the highest one counts; customarily the file's time in Unix seconds
	BLAKE3  *[32]byte // claimed hash of the same content; nil: not said (wire.md section 12)
}

func (Latest) Name() string { return "Latest" }

func (m Latest) AppendPayload(dst []byte) []byte {
	dst = appendHex(dst, `{"ed25519":`, &m.Ed25519)
	dst = appendText(dst, `,"name":`, m.Path)
	dst = appendHex(dst, `,"sha256":`, &m.SHA256)
	dst = appendInt(dst, `,"seq":`, m.Seq)
	if m.BLAKE3 != nil {
		dst = appendHex(dst, `,"blake3":`, m.BLAKE3)
	}
	return append(dst, '}')
}

// ParseLatest needs all but the hint blake3, which is passed over when it is not well formed.
func ParseLatest(payload []byte) (Latest, error) {
	const name = "Latest"
	m := Latest{Seq: -1}
	key, hash := false, false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "ed25519":
			m.Ed25519, ok = o.hex32()
			key = true
		case "name":
			m.Path, ok = o.text()
		case "sha256":
			m.SHA256, ok = o.hex32()
			hash = true
		case "seq":
			m.Seq, ok = o.integer(0)
		case "blake3":
			m.BLAKE3, ok = o.maybeHex32()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case !key:
		err = refuse(name, "ed25519")
	case len(m.Path) == 0:
		err = refuse(name, "name")
	case !hash:
		err = refuse(name, "sha256")
	case m.Seq < 0:
		err = refuse(name, "seq")
	}
	if err != nil {
		return Latest{}, err
	}
	return m, nil
}
