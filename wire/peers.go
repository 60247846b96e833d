package wire

import "net/netip"

// Peers are addresses of peers: candidates, not yet members.
type Peers struct{ Peers []netip.AddrPort }

func (Peers) Name() string { return "Peers" }

func (m Peers) AppendPayload(dst []byte) []byte {
	return append(appendAddrs(dst, `{"peers":[`, m.Peers), '}')
}

// ParsePeers needs the array of peers, but not that its entries are addresses:
// see addrs.
func ParsePeers(payload []byte) (Peers, error) {
	const name = "Peers"
	var m Peers
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		if string(o.name) == "peers" {
			found = true
			m.Peers, ok = o.addrs()
		} else {
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if err == nil && !found {
		err = refuse(name, "peers")
	}
	if err != nil {
		return Peers{}, err
	}
	return m, nil
}
