package netsim

import (
	"container/heap"
	"hash/crc32"
	"net/netip"
	"time"
)

// Kinds of events; those of one instant are taken in this order.
const (
	enters  = iota // a datagram enters its link
	arrives        // a datagram arrives
	remains        // what is left of a broken datagram arrives
)

type event struct {
	at       time.Duration // since the network was made
	kind     uint8
	from, to netip.AddrPort
	seq      uint64
	data     []byte
	sum      uint32 // checksum of data when it was sent
	sent     time.Duration
	lane     *lane
	packets  int
}

// before is by time, and for one instant by what does not depend on which goroutine ran first. seq
// keeps the order of what one socket sends to another.
func (e *event) before(o *event) bool {
	switch {
	case e.at != o.at:
		return e.at < o.at
	case e.kind != o.kind:
		return e.kind < o.kind
	case e.from != o.from:
		return e.from.Compare(o.from) < 0
	case e.to != o.to:
		return e.to.Compare(o.to) < 0
	}
	return e.seq < o.seq
}

// events is a heap.
type events []*event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].before(e[j]) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	return x
}

func (n *Network) pushLocked(e event) {
	n.seq++
	e.seq = n.seq
	heap.Push(&n.events, &e)
	if n.events[0] == &e {
		select {
		case n.wake <- struct{}{}:
		default: // it will look
		}
	}
}

// sendLocked takes a copy of data. It enters the link when everybody who sends at this instant has
// done so: a nanosecond later, which virtual time comes to when all goroutines wait.
func (n *Network) sendLocked(from, to netip.AddrPort, data []byte) {
	sent := time.Since(n.start)
	n.pushLocked(event{
		kind: enters, at: sent + 1, sent: sent, from: from, to: to,
		data: append([]byte(nil), data...), sum: crc32.Checksum(data, castagnoli),
	})
}

// run does what is due, until Close.
func (n *Network) run() {
	defer close(n.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := n.step()
		timer.Reset(wait)
		select {
		case <-n.done:
			return
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// idle is how long the network waits when nothing is to come.
const idle = 1000 * time.Hour

// step does what is due and returns how long nothing is.
func (n *Network) step() time.Duration {
	now := time.Since(n.start)
	for {
		n.mu.Lock()
		if len(n.events) == 0 {
			n.mu.Unlock()
			return idle
		}
		if wait := n.events[0].at - now; wait > 0 {
			n.mu.Unlock()
			return wait
		}
		e := heap.Pop(&n.events).(*event)
		var to *sock
		switch e.kind {
		case enters:
			n.enterLocked(e)
		case arrives:
			to = n.arriveLocked(e)
		case remains:
			n.poolLocked(e.to.Addr()).keep(e.at, e.packets)
		}
		n.mu.Unlock()
		if to != nil {
			to.push(e.from, e.data)
		}
	}
}

// enterLocked is the moment when a datagram leaves its host.
func (n *Network) enterLocked(e *event) {
	n.tellLocked(&Packet{At: n.start.Add(e.sent), From: e.from, To: e.to, Data: e.data, Outcome: Sent}, e.sum)
	if !n.isGroupLocked(e.to.Addr()) {
		n.carryLocked(e, e.to, e.data)
		return
	}
	for _, to := range n.neighboursLocked(e.from, e.to) {
		n.carryLocked(e, to, append([]byte(nil), e.data...))
	}
}

// arriveLocked is the moment when a datagram reaches its host; it returns the socket that takes it.
func (n *Network) arriveLocked(e *event) *sock {
	s := n.socks[e.to]
	o := Delivered
	switch {
	case n.cutLocked(e.lane, e.at):
		o = Down
	case s == nil:
		o = Unreachable
	case e.packets > 1 && !n.poolLocked(e.to.Addr()).room(e.at, e.packets):
		o = Unassembled
	case !s.room(len(e.data)):
		o = Full
	}
	n.fateLocked(e, e.at, o)
	if o != Delivered {
		return nil
	}
	return s
}

func (n *Network) poolLocked(a netip.Addr) *pool {
	p := n.pools[a]
	if p == nil {
		p = &pool{}
		n.pools[a] = p
	}
	return p
}

// fateLocked counts what became of a datagram, and tells it.
func (n *Network) fateLocked(e *event, at time.Duration, o Outcome) {
	e.lane.counts.count(o)
	n.tellLocked(&Packet{At: n.start.Add(at), From: e.from, To: e.to, Data: e.data, Outcome: o}, e.sum)
}

func (n *Network) tellLocked(p *Packet, sum uint32) {
	n.traceLocked(p, sum)
	if n.tap != nil && p.Outcome == Sent {
		n.tap(*p)
	}
	if n.tapAll != nil {
		n.tapAll(*p)
	}
}
