package wire

import "net/netip"

// MaybeTheyHaveSome names peers that may hold a content.
type MaybeTheyHaveSome struct {
	ID    []byte // not empty; aliases the payload unless it had escapes
	Peers []netip.AddrPort
	Have  []Range // what the sender itself holds, at most 16; nil: not said (wire.md section 12)
}

func (MaybeTheyHaveSome) Name() string { return "MaybeTheyHaveSome" }

func (m MaybeTheyHaveSome) AppendPayload(dst []byte) []byte {
	dst = appendText(dst, `{"id":`, m.ID)
	dst = appendAddrs(dst, `,"peers":[`, m.Peers)
	dst = appendHave(dst, m.Have)
	return append(dst, '}')
}

// ParseMaybeTheyHaveSome needs id and peers; entries that are no addresses are
// skipped, see addrs. The hint have is passed over when it is not well formed.
func ParseMaybeTheyHaveSome(payload []byte) (MaybeTheyHaveSome, error) {
	const name = "MaybeTheyHaveSome"
	var m MaybeTheyHaveSome
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "id":
			m.ID, ok = o.text()
		case "peers":
			found = true
			m.Peers, ok = o.addrs()
		case "have":
			m.Have, ok = o.have()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case len(m.ID) == 0:
		err = refuse(name, "id")
	case !found:
		err = refuse(name, "peers")
	}
	if err != nil {
		return MaybeTheyHaveSome{}, err
	}
	return m, nil
}
