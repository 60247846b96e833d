package swarm

import (
	"net/netip"
	"time"

	"sharer/wire"
)

// A Meter is told what passes the socket, so that a limit can count what a link carries and not
// what was meant to be sent: payload and [wire.HeaderBytes] of each datagram, whatever its reason,
// and whether or not it is of any use. It is called on the goroutine that sends or receives, and
// must not wait.
type Meter interface {
	Charge(now time.Time, peer netip.AddrPort, bytes int)
}

// A Shedder is a Meter of what leaves that is asked, before a reply leaves, whether there is room for it. What keeps the
// node in the swarm goes in any case, requests and answers with content have waited for their turn; without
// this, questions could make us send any amount.
type Shedder interface {
	Meter
	Spare(now time.Time) bool
}

// meters of both directions; either may be nil.
type meters struct {
	up, down Meter
	shed     Shedder // up, if it is one
}

// sheds reports whether replies are to be left out now.
func (g *Gate) sheds(now time.Time) bool {
	m := g.meters.Load()
	return m != nil && m.shed != nil && !m.shed.Spare(now)
}

// Meter sets who is charged for what leaves and for what arrives; nil: nobody. What the
// socket refused is not charged.
func (g *Gate) Meter(up, down Meter) {
	m := &meters{up: up, down: down}
	m.shed, _ = up.(Shedder)
	g.meters.Store(m)
}

// ReceivedBatch is Received for datagrams as they were read, and charges them, also those that will be
// dropped: they have used the link all the same.
func (g *Gate) ReceivedBatch(ds []wire.Datagram) {
	g.Received(len(ds))
	m := g.meters.Load()
	bytes := 0
	for i := range ds {
		bytes += len(ds[i].Data) + wire.HeaderBytes
	}
	g.counts.inWire.Add(uint64(bytes))
	if m == nil || m.down == nil || len(ds) == 0 {
		return
	}
	now := time.Now()
	for i := range ds {
		m.down.Charge(now, Clean(ds[i].Addr), len(ds[i].Data)+wire.HeaderBytes)
	}
}

// left counts and charges what the socket took: n datagrams of the queue from i on.
func (b *Batch) left(i, n int) {
	if n <= 0 {
		return
	}
	c := &b.gate.counts
	m := b.gate.meters.Load()
	metered := m != nil && m.up != nil
	var now time.Time
	if metered {
		now = time.Now()
	}
	for ; n > 0; n-- {
		d, why := &b.queue[i], b.whys[i]
		bytes := len(d.Data) + wire.HeaderBytes
		c.out[why].Add(1)
		c.outBytes.Add(uint64(len(d.Data)))
		c.outWire[why].Add(uint64(bytes))
		if metered {
			m.up.Charge(now, d.Addr, bytes)
		}
		i++
	}
}
