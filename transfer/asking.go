package transfer

import (
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// asking is the request that is being written. Over loopback, whose MTU is 64 KiB, a datagram with ten blocks is no worse
// than one with one, and costs both sides a tenth of the work: so requests for blocks that follow one another, of
// a peer on this machine that answers raw and holds all, are one on the wire. What is
// in flight, what was lost and who gave what is counted by block all the same, and an answer is taken apart into
// blocks when it comes.
type asking struct {
	to   *source // nil: none
	also bool
	pad  int
	msg  wire.PleaseSendContent
	buf  []byte
}

// extend makes a request for what follows a part of the one that is being written, if it may be.
func (a *asking) extend(s *source, r request, fl *flight) bool {
	if a.to != s || !s.near || !s.raw.speaks || s.reach.have != nil || fl.also != a.also || fl.part || fl.n != chunk.BlockSize || r.tree ||
		a.msg.Length%chunk.BlockSize != 0 || r.at != a.msg.Offset+a.msg.Length || a.msg.Length+chunk.BlockSize > maxAnswer {
		return false
	}
	a.msg.Length += chunk.BlockSize
	fl.raw = true
	return true
}

// openAsk begins a request of its own.
func (d *Download) openAsk(s *source, r request, fl *flight, pad int, now time.Time) bool {
	d.closeAsk(now)
	buf, ok := d.cfg.Batch.Open(s.addr, s.via, swarm.Request)
	if !ok {
		return false
	}
	d.asking = asking{also: fl.also, to: s, pad: pad, buf: buf, msg: wire.PleaseSendContent{ID: d.contID, Offset: r.at, Length: int64(fl.n)}}
	switch {
	case r.tree:
		d.asking.msg.ID = d.treeID
	case fl.also:
		d.asking.msg.ID = d.alsoID
	}
	if s.wantsRaw() {
		d.asking.msg.Raw, fl.raw = d.handleOf(r.tree, fl.also), true
	}
	if r.tree || fl.part || !fl.raw || pad > 0 {
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
		d.cfg.Up.TakeAll(now, size+wire.HeaderBytes)
		d.cfg.Up.TakePeer(now, a.to.addr, size+wire.HeaderBytes)
	}
	a.to, a.buf = nil, nil
}
