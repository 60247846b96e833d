package node

import (
	"errors"
	"net"

	"sharer/swarm"
	"sharer/wire"
)

// receive is the receive path of one socket: it never waits for anything else.
func (n *Node) receive(r swarm.Reader) {
	var m receiver
	for {
		ds, err := r.ReadBatch()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Such as an ICMP error of an earlier send: the next read goes on.
			n.log.Debug("socket", "err", err)
			continue
		}
		n.swarm.Gate.ReceivedBatch(ds)
		for len(ds) > 0 {
			from := n.datagram(&m, ds[0])
			taken := 1 + n.sequel(&m, from, ds)
			ds = ds[taken:]
		}
	}
}

// receiver is the memory of a receive path.
type receiver struct {
	es     []wire.Element
	opened int // of one datagram: see wire.Sender
	like   wire.Sequel
	parts  [][]byte
}

// datagram routes one datagram and sends what its handlers reply. The sender without an address says that it was dropped.
func (n *Node) datagram(m *receiver, d wire.Datagram) wire.Sender {
	m.es, m.opened = m.es[:0], 0
	if n.deniesPeer(d.Addr) {
		return wire.Sender{} // counted by its list
	}
	es, _, err := wire.Split(m.es, d.Data)
	m.es = es
	if err != nil {
		n.swarm.Gate.Dropped(swarm.DropFor(err))
		return wire.Sender{}
	}
	from := n.swarm.Gate.Admit(d, es)
	if !from.Addr.IsValid() {
		return from // counted there
	}
	from.Opened = &m.opened
	n.letters.arrived(from, d.Data, es)
	replies, _ := n.mux.Dispatch(from, es)
	n.swarm.Gate.Reply(from, swarm.Asked(es), replies)
	return from
}

// sequel takes what follows the first datagram, which has just been taken: parts of one request come many at a time and
// differ in their offset alone, so that gate and handlers would say of each what they said of the first. It returns how many
// it took. They were read in one call: nothing that a judgement depends on has changed meanwhile.
func (n *Node) sequel(m *receiver, from wire.Sender, ds []wire.Datagram) int {
	if !from.Proven || len(ds) == 1 || !m.like.Begin(ds[0].Data, m.es) {
		return 0
	}
	m.parts = m.parts[:0]
	for _, d := range ds[1:] {
		if d.Addr != ds[0].Addr || d.Via != ds[0].Via {
			break
		}
		part, ok := m.like.Next(d.Data)
		if !ok {
			break
		}
		m.parts = append(m.parts, part)
	}
	if len(m.parts) > 0 {
		n.swarm.Gate.AdmittedAlike(len(m.parts))
		n.downloads.Sequel(from, m.like.Content, m.parts)
	}
	return len(m.parts)
}
