package transfer

import (
	"context"
	"errors"
	"math/bits"
	"time"

	"sharer/chunk"
)

// job is what the writer of a download does next: check and write the blocks of
// a stripe, or hash the whole.
type job struct {
	stripe *stripe
	blocks uint64
	bytes  int // of content in the stripe
	epoch  int64
	whole  bool
}

// outcome is what became of a job.
type outcome struct {
	job
	good, bad uint64
	sums      chunk.Sums
	err       error
}

// writeLoop does the jobs in order. It is the only one who reads stripes that
// are being checked, and ends when jobs is closed. The results never block:
// a stripe is out once at most.
func (d *Download) writeLoop(ctx context.Context) {
	for j := range d.jobs {
		o := outcome{job: j}
		switch {
		case j.epoch != d.epoch.Load(): // see recall
		case j.whole:
			o.sums, o.err = d.cfg.File.Check(ctx, nil)
		default:
			o.good, o.bad, o.err = writeBlocks(d.cfg.File, j)
		}
		if !d.wroteDirect(&o) {
			d.wrote <- &o
		}
	}
}

// wroteDirect is told of a result on the writer's goroutine: it is the loop for that long, where the receive path is at other times.
func (d *Download) wroteDirect(o *outcome) bool {
	if !d.beLoop() {
		return false
	}
	defer d.loop.Unlock()
	d.written(*o)
	now := time.Now()
	next := d.step(now)
	if d.err != nil || d.complete() || now.Add(next).Before(d.armed) {
		d.inbox.signal()
	}
	return true
}

// writeBlocks writes the runs of blocks that are set in m.
func writeBlocks(f *chunk.Partial, j job) (good, bad uint64, err error) {
	s, m := j.stripe, j.blocks
	for m != 0 {
		i := bits.TrailingZeros64(m)
		n := bits.TrailingZeros64(^(m >> i))
		run := spanMask(i, i+n)
		m &^= run
		data := s.buf[i*chunk.BlockSize : min((i+n)*chunk.BlockSize, j.bytes)]
		wrong, err := f.Write(s.index*stripeBlocks+int64(i), data)
		if err != nil {
			return good, bad, err
		}
		good |= run
		for _, w := range wrong {
			good &^= 1 << (i + w)
			bad |= 1 << (i + w)
		}
	}
	return good, bad, nil
}

// canCheck are the blocks of a stripe that came and whose leaves are there.
func (d *Download) canCheck(s *stripe) uint64 {
	if d.cfg.ID.Kind == chunk.SHA256 || s.leaves || d.tree.wantLeaf(d.cfg.File.Tree(), s.index*stripeBlocks) {
		return s.got
	}
	return s.got & d.tree.earlyIn(d.cfg.File.Tree(), s.index)
}

// handIfReady gives what came of a stripe to the writer, unless it has the stripe, as far as leaves are there.
func (d *Download) handIfReady(s *stripe) {
	if s.checking || s.got == 0 {
		return
	}
	if m := d.canCheck(s); m != 0 {
		s.checking = true
		d.hand(job{stripe: s, blocks: m, bytes: d.pick.bytes(s)})
	}
}

func (d *Download) hand(j job) {
	j.epoch = d.epoch.Load()
	d.handed++
	d.jobs <- j
}

// recall begins an epoch: the writer leaves what it was handed in earlier ones and has not begun, and what it has begun is waited for.
// Under sha256 all that is written counts as held. What came of it only after all was forgotten nobody would be asked for again, and the one peer
// that is asked for the whole then would have the blame for it.
func (d *Download) recall() {
	d.epoch.Add(1)
	for d.handed > 0 {
		d.written(*<-d.wrote)
	}
}

// written takes a result of the writer.
func (d *Download) written(o outcome) {
	d.handed--
	if o.whole {
		d.hashing--
		d.lastGood = time.Now()
	}
	if o.epoch != d.epoch.Load() {
		return // of a size that was given up
	}
	if o.whole {
		d.checkedWhole(o)
		return
	}
	if o.err != nil && !isNoParent(o.err) {
		d.fail(o.err)
	}
	s := o.stripe
	retry := o.blocks &^ (o.good | o.bad)
	for m := o.blocks; m != 0; m &= m - 1 {
		d.sources[s.from[bits.TrailingZeros64(m)]].judged++
	}
	for m := o.bad; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		d.strike(d.sources[s.from[i]], s.sure>>i&1 == 1)
	}
	for m := o.good; m != 0; m &= m - 1 {
		d.sources[s.from[bits.TrailingZeros64(m)]].gave++
	}
	d.pick.wrote(s, o.good, o.bad|retry)
	if d.taking && s.got != 0 { // it came meanwhile
		d.unchecked = append(d.unchecked, s)
	}
	if d.cfg.ID.Kind == chunk.BLAKE3 && !d.proven && d.pick.done.Has(d.pick.blocks-1) {
		d.prove()
	}
	if d.cfg.Demand != nil && o.good != 0 {
		d.cfg.Demand.arrived()
	}
	d.checkWhole()
}

// checkWhole has a complete sha256 content hashed.
func (d *Download) checkWhole() {
	if d.cfg.ID.Kind == chunk.SHA256 && d.pick.remaining() == 0 && d.err == nil {
		d.hashing++
		d.hand(job{whole: true})
	}
}

// checkedWhole takes the hash of a whole sha256 content.
func (d *Download) checkedWhole(o outcome) {
	d.stats.Passes++
	switch {
	case o.err == nil:
		d.proven = true
		d.cfg.File.ProveSize()
	case errors.Is(o.err, chunk.ErrMismatch):
		d.mismatch(time.Now())
	default:
		d.fail(o.err)
	}
}
