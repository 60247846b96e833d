package transfer

import (
	"context"
	"net/netip"
	"time"
)

// run is the loop. It returns nil when the content is complete and verified.
func (d *Download) run(ctx context.Context) error {
	d.loop.Lock()
	defer d.loop.Unlock()
	defer func() { d.direct.Store(false) }()
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		d.writeLoop(ctx)
	}()
	defer func() {
		close(d.jobs)
		<-writer
		d.report()
		close(d.ended)
	}()
	d.started = time.Now()
	d.lastGood = d.started
	d.resumed = d.cfg.File.DoneBytes() > 0
	if size, known := d.cfg.File.Size(); known {
		d.setSize(size, d.started)
	}
	var news <-chan struct{}
	if d.cfg.Demand != nil {
		news = d.cfg.Demand.news
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		if d.complete() {
			d.tell(now, true)
			return nil
		}
		next := d.step(now)
		if d.err != nil {
			d.settle()
			return d.err
		}
		d.tell(now, false)
		timer.Reset(next)
		d.armed = now.Add(next)
		d.direct.Store(d.speed.fast && d.treeID != nil && d.proven && !d.cfg.TreeOnly)
		if err := d.wait(ctx, timer.C, news); err != nil {
			d.settle()
			return err
		}
	}
}

// step does what is due now, and returns how long nothing more will be.
func (d *Download) step(now time.Time) time.Duration {
	for _, s := range d.unchecked {
		d.handIfReady(s)
	}
	d.unchecked = d.unchecked[:0]
	next := d.plan(now)
	d.flush(now)
	return next
}

// flush lets out what was asked.
func (d *Download) flush(now time.Time) {
	d.closeAsk(now)
	if err := d.cfg.Batch.Flush(); err != nil {
		d.stats.Unsent++ // asked again after its timeout
	}
}

// wait gives the turn away until something is there, and takes it.
func (d *Download) wait(ctx context.Context, timer <-chan time.Time, news <-chan struct{}) error {
	d.loop.Unlock()
	select {
	case <-ctx.Done():
		d.takeBack()
		return ctx.Err()
	case <-d.inbox.ready:
		d.takeBack()
		d.drain()
	case <-d.aside.ready:
		d.takeBack()
		d.lookAside()
	case o := <-d.wrote:
		d.takeBack()
		d.written(*o)
	case h := <-d.hints:
		d.takeBack()
		d.hinted(h)
	case a := <-d.gained:
		d.takeBack()
		d.addSources([]netip.AddrPort{a})
	case v := <-d.vain:
		d.takeBack()
		d.askedInVain(v)
	case answer := <-d.looks:
		d.takeBack()
		answer <- d.look()
	case <-news:
		d.takeBack()
	case <-timer:
		d.takeBack()
	}
	return nil
}

// takeBack makes run the loop again: others stand back.
func (d *Download) takeBack() {
	d.wanted.Store(true)
	d.loop.Lock()
	d.wanted.Store(false)
}

// drain takes what has arrived, so that requests go out in lumps. It is
// bounded, since plan must see the clock now and then.
func (d *Download) drain() {
	for i := 0; ; i++ {
		if i == 256 {
			d.inbox.signal() // again, after a look at everything else
			break
		}
		if d.next == len(d.lump.answers) {
			if d.lump, d.next = d.inbox.take(d.lump), 0; len(d.lump.answers) == 0 {
				break
			}
		}
		a := d.lump.answer(d.next)
		d.next++
		if d.taking && (a.tree || a.none) { // it came before others were the loop, or in base64
			if !d.aside.put(a, a.data) {
				d.over.Add(1)
			}
			continue
		}
		d.arrive(a)
	}
	for {
		select {
		case o := <-d.wrote:
			d.written(*o)
		default:
			return
		}
	}
}

// lookAside is drain for what was put aside.
func (d *Download) lookAside() {
	d.besides = d.aside.take(d.besides)
	for i := range d.besides.answers {
		d.arrive(d.besides.answer(i))
	}
}

// settle hands over what is in memory and waits for the writer, so that an
// interrupted download loses no block that it had.
func (d *Download) settle() {
	for _, s := range d.pick.active {
		d.handIfReady(s)
	}
	for d.pick.checking() && d.handed > 0 {
		d.written(*<-d.wrote)
	}
}
