package wire

// IJustSawThis tells of the content that the sender came by last, and so has.
type IJustSawThis struct {
	ID     []byte // not empty; aliases the payload unless it had escapes
	Length int64  // bytes, >= 0
}

func (IJustSawThis) Name() string { return "IJustSawThis" }

func (m IJustSawThis) AppendPayload(dst []byte) []byte { return appendTold(dst, m.ID, m.Length) }

// ParseIJustSawThis needs both fields.
func ParseIJustSawThis(payload []byte) (IJustSawThis, error) {
	id, n, err := parseTold(IJustSawThis{}.Name(), payload)
	return IJustSawThis{id, n}, err
}

// YouShouldSeeThis tells of a content that the sender's user recommends.
type YouShouldSeeThis struct {
	ID     []byte // not empty; aliases the payload unless it had escapes
	Length int64  // bytes, >= 0
}

func (YouShouldSeeThis) Name() string { return "YouShouldSeeThis" }

func (m YouShouldSeeThis) AppendPayload(dst []byte) []byte { return appendTold(dst, m.ID, m.Length) }

// ParseYouShouldSeeThis needs both fields.
func ParseYouShouldSeeThis(payload []byte) (YouShouldSeeThis, error) {
	id, n, err := parseTold(YouShouldSeeThis{}.Name(), payload)
	return YouShouldSeeThis{id, n}, err
}

func appendTold(dst, id []byte, length int64) []byte {
	dst = appendText(dst, `{"id":`, id)
	return append(appendInt(dst, `,"length":`, length), '}')
}

// parseTold reads what both tell.
func parseTold(name string, payload []byte) (id []byte, length int64, err error) {
	length = -1
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "id":
			id, ok = o.text()
		case "length":
			length, ok = o.integer(0)
		default:
			ok = o.pass()
		}
	}
	err = o.finish(name)
	switch {
	case err != nil:
	case len(id) == 0:
		err = refuse(name, "id")
	case length < 0:
		err = refuse(name, "length")
	}
	if err != nil {
		return nil, 0, err
	}
	return id, length, nil
}
