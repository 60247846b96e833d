package transfer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// answerer is the loop's own memory.
type answerer struct {
	u      *Uploads
	buf    []byte // one turn's content
	wants  []want
	silent []netip.AddrPort
	reads  readJobs
	msg    wire.Content
	now    time.Time // when the answer to a request is sent
	id     []byte
	hex    [2 * len(chunk.Hash{})]byte
	again  repeater // nil: none
	digits [20]byte
	sent   int // bytes of content since the last flush
}

// repeater is what a Batch can do that queues datagrams which differ in a number and in what follows the array.
type repeater interface {
	// Again queues once more what was queued last, with digits at the byte at and rest behind the array, both as long as what
	// was there. False: it was not queued.
	Again(at int, digits, rest []byte) bool
}

// hintOf appends the BLAKE3 of a content that is asked for by its sha256, in hex: who
// asked can then check each block. nil: not known, or not of use.
func hintOf(dst []byte, id chunk.ID, c Content) []byte {
	if h, ok := c.BLAKE3(); ok && id.Kind == chunk.SHA256 {
		return hex.AppendEncode(dst, h[:])
	}
	return nil
}

// Failed is told of datagrams that the socket refused, on the goroutine that answers: it is for the Failed of its Batch.
func (u *Uploads) Failed(e *swarm.SendError) {
	if e.Fault == swarm.FaultTooLarge && u.serving != nil && u.serving.addr == e.To {
		u.serving.fit.refused(e.Size, time.Now())
	}
}

// answer sends one turn. False: ctx has ended.
func (a *answerer) answer(ctx context.Context, p *upPeer, ws []want) bool {
	a.u.serving = p
	for len(ws) > 0 {
		n := runLength(ws)
		if !a.run(ctx, p, ws[:n]) {
			return false
		}
		ws = ws[n:]
	}
	a.flush()
	return true
}

// flush sends what is queued, all of which is for one peer.
func (a *answerer) flush() {
	if err := a.u.cfg.Batch.Flush(); err != nil {
		a.u.failed.Add(1) // the asker asks again
	}
	now := time.Now()
	a.u.serving.fit.flushed(now)
	a.u.serving.speed.came(now, a.sent)
	a.sent = 0
}

// runLength counts the requests at the head of ws that follow one another in
// one content, so that one read serves them.
func runLength(ws []want) int {
	n, bytes := 1, ws[0].length
	for n < len(ws) && ws[n].id == ws[0].id && ws[n].offset == ws[0].offset+bytes && bytes+ws[n].length <= turnBytes {
		bytes += ws[n].length
		n++
	}
	return n
}

// run answers requests that one read serves.
func (a *answerer) run(ctx context.Context, p *upPeer, ws []want) bool {
	data, err := readNow(ws[0].content, a.buf[:runBytes(ws)], ws[0].offset)
	if wouldWait(err) {
		a.later(p, ws)
		return true
	}
	return a.read(ctx, p, ws, data, err)
}

// read answers requests with what was read for them.
func (a *answerer) read(ctx context.Context, p *upPeer, ws []want, data []byte, err error) bool {
	u := a.u
	if err != nil {
		u.failed.Add(1)
		if errors.Is(err, chunk.ErrNotHeld) && len(ws) > 1 {
			// Some of the run is not here: one by one.
			for i := range ws {
				if !a.run(ctx, p, ws[i:i+1]) {
					return false
				}
			}
			return true
		}
		return a.missing(ctx, p, ws[0], err)
	}
	for _, w := range ws {
		part := data[:min(int64(len(data)), w.length)]
		data = data[len(part):]
		if !a.pace(ctx, w.wire(int64(len(part)))) {
			return false
		}
		a.sendEach(p, w, part)
	}
	return true
}

// sendEach queues the answer to one request, in as many datagrams as are wanted. They are of one size, but for the last
// one, so that the socket sends them together.
func (a *answerer) sendEach(p *upPeer, w want, data []byte) {
	a.now = time.Now()
	if w.each == 0 {
		a.send(p, w, data)
		return
	}
	for first := true; first || len(data) > 0; first = false {
		part := data[:min(int64(len(data)), w.each)]
		w.length = int64(len(part))
		at, width := a.send(p, w, part)
		for {
			w.offset, data = w.offset+w.length, data[len(part):]
			if at == 0 || len(data) < len(part) || !a.sendAgain(p, w.offset, at, width, data[:len(part)]) {
				break
			}
		}
	}
}

// sendAgain queues what was queued last with another offset, which stood there with so many digits, and other content.
func (a *answerer) sendAgain(p *upPeer, offset int64, at, width int, part []byte) bool {
	digits := strconv.AppendInt(a.digits[:0], offset, 10)
	if len(digits) != width || !a.again.Again(at, digits, part) {
		return false
	}
	a.count(p, len(part))
	return true
}

// send queues one answer, now and then with the addresses of others that asked. Where the next one may be the same but for
// its offset, it returns at which byte that stands, and its width.
func (a *answerer) send(p *upPeer, w want, part []byte) (at, width int) {
	u := a.u
	buf, ok := u.cfg.Batch.Open(p.addr, w.via, swarm.Reply)
	if !ok {
		return 0, 0
	}
	if w.raw == 0 {
		a.id, _ = w.id.AppendText(a.id[:0]) // never fails
	}
	a.msg = wire.Content{ID: a.id, For: w.raw, Offset: w.offset, Data: part, EOF: w.content.Size()}
	now := a.now
	room := p.fit.room(w.length, now)
	ranges := 1
	if of := (wantKey{id: w.id, raw: w.raw}); p.toldOf != of || now.Sub(p.told) >= tellEvery || w.length <= pollBytes {
		p.toldOf, p.told = of, now
		a.msg.BLAKE3 = hintOf(a.hex[:0], w.id, w.content)
		if room == 0 || w.length <= pollBytes {
			ranges = maxHave
		}
	} else if w.raw != 0 && len(part) > 0 {
		a.msg.EOF = -1 // it knows
	}
	a.msg.Have = wireRanges(w.content.Have(w.offset, ranges))
	start := len(buf)
	buf = wire.AppendMessage(buf, &a.msg)
	var rest []byte
	if w.raw != 0 {
		rest = part
	}
	if over := len(buf) + len("]") + len(rest) - room; room > 0 && over > 0 {
		keep := len(part) - (over+3)/4*3 // four bytes of base64 stand for three
		if w.raw != 0 {
			keep = len(part) - over
		}
		part = part[:max(0, keep)]
		rest = rest[:min(len(rest), len(part))]
		a.msg.Data = part
		buf = wire.AppendMessage(buf[:start], &a.msg)
	} else if room == 0 && now.Sub(p.hinted) >= time.Second {
		buf = a.hint(buf, p, w)
	} else if a.again != nil && w.raw != 0 && a.msg.EOF < 0 && a.msg.Have == nil && a.msg.BLAKE3 == nil {
		at = start + bytes.Index(buf[start:], offsetKey) + len(offsetKey)
		width = len(strconv.AppendInt(a.digits[:0], w.offset, 10))
	}
	u.cfg.Batch.CloseWith(buf, 0, rest)
	a.count(p, len(part))
	return at, width
}

// count counts an answer with n bytes of content.
func (a *answerer) count(p *upPeer, n int) {
	p.answers++
	a.sent += n
	a.u.answered.Add(1)
	a.u.bytes.Add(int64(n))
}

// offsetKey is what an offset follows in a raw answer.
var offsetKey = []byte(`"offset":`)

// hint adds others who asked for the same, at most once a second, so that a
// swarm finds itself.
func (a *answerer) hint(buf []byte, p *upPeer, w want) []byte {
	now := a.now
	p.hinted = now
	peers := a.u.cfg.Holders.Tell(contentID(w.id), p.addr, 4, now)
	if len(peers) == 0 {
		return buf
	}
	buf = append(buf, ',')
	return wire.AppendMessage(buf, wire.MaybeTheyHaveSome{ID: []byte(contentID(w.id).String()), Peers: peers})
}

// missing says that a block is not here.
func (a *answerer) missing(ctx context.Context, p *upPeer, w want, err error) bool {
	if !errors.Is(err, chunk.ErrNotHeld) {
		return true // changed or unreadable: silence, and Source offers it no more
	}
	for _, m := range a.u.unavailable(p.addr, w, time.Now()) {
		if !a.pace(ctx, answerOverhead) {
			return false
		}
		if buf, ok := a.u.cfg.Batch.Open(p.addr, w.via, swarm.Reply); ok {
			a.u.cfg.Batch.Close(wire.AppendMessage(buf, m), 0)
		}
	}
	return true
}

// pace waits until the limit of all peers together lets cost bytes more out. What is queued goes
// out before a wait.
func (a *answerer) pace(ctx context.Context, cost int) bool {
	for first := true; ; first = false {
		now := time.Now()
		wait := a.u.cfg.Limit.WaitAll(now, cost)
		if wait == 0 {
			a.u.cfg.Limit.TakeAll(now, cost)
			return true
		}
		if first {
			a.flush()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
