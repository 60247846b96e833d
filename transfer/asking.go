package transfer

import (
	"time"

	"sharer/swarm"
	"sharer/wire"
)

// asking is the request that is being written. Of a peer that answers raw, requests for what follows one another are one
// on the wire. Parts that make a packet each are answered by a datagram each, which leave with one system call. Over loopback, whose MTU
// is 64 KiB, a datagram with ten blocks is no worse than one with one, and costs both sides a tenth of the work: so a peer on this
// machine is asked for runs of blocks, each of which is in flight, answered and lost as one. Who gave what is counted by block.
type asking struct {
	to   *source // nil: none
	also bool
	tree bool
	pad  int
	msg  wire.PleaseSendContent
	buf  []byte
}

// extend makes a request for what follows a part of the one that is being written, if it may be.
func (a *asking) extend(s *source, r request, fl *flight, now time.Time) bool {
	if r.unit || a.to != s || !s.raw.speaks || fl.also != a.also || r.tree != a.tree || r.at != a.msg.Offset+a.msg.Length || a.msg.Length+int64(fl.n) > maxAnswer {
		return false
	}
	if !fl.part || int64(fl.each) != a.msg.Each || fl.each < leastEach || a.msg.Length%a.msg.Each != 0 {
		return false
	}
	if first := (request{tree: a.tree, at: a.msg.Offset}).key(); !s.each.known && s.flights.out[first].stamp.again {
		return false // an answer would not tell much
	}
	if !s.each.more(now, a.msg.Length/a.msg.Each) {
		return false
	}
	a.msg.Length += int64(fl.n)
	fl.next, fl.raw = true, true
	return true
}

// openAsk begins a request of its own.
func (d *Download) openAsk(s *source, r request, fl *flight, pad int, now time.Time) bool {
	d.closeAsk(now)
	buf, ok := d.cfg.Batch.Open(s.addr, s.via, swarm.Request)
	if !ok {
		d.refused(s, now)
		return false
	}
	d.asking = asking{also: fl.also, tree: r.tree, to: s, pad: pad, buf: buf, msg: wire.PleaseSendContent{ID: d.contID, Offset: r.at, Length: int64(fl.n)}}
	switch {
	case r.tree:
		d.asking.msg.ID = d.treeID
	case fl.also:
		d.asking.msg.ID = d.alsoID
	}
	if s.wantsRaw() {
		d.asking.msg.Raw, fl.raw = d.handleOf(r.tree, fl.also), true
	}
	if fl.part && s.raw.speaks {
		d.asking.msg.Each = int64(fl.each)
	}
	if r.tree && !fl.part || fl.part && !s.raw.speaks || !fl.raw || pad > 0 {
		d.closeAsk(now)
	}
	return true
}

// closeAsk sends what is being written.
func (d *Download) closeAsk(now time.Time) {
	a := &d.asking
	if a.to == nil {
		return
	}
	if size := d.cfg.Batch.Close(wire.AppendMessage(a.buf, &a.msg), a.pad); size > 0 {
		d.limits.asked(now, a.to.addr, size)
	}
	a.to, a.buf = nil, nil
}
