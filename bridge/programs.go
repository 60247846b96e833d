package bridge

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"sharer/wire"
)

const (
	maxPrograms = 64          // 64 × ~100 KiB of heard addresses, and one outbox of 1 MiB for all
	stay        = time.Minute // how long a program is a guest after it last spoke
	maxWaiting  = 16          // letters of programs that wait to be sent: 16 × 64 KiB
)

// programs are the guests that speak UDP. One goroutine sends what they say and what they are told.
type programs struct {
	b     *Bridge
	out   *outbox
	work  chan order
	start sync.Once

	mu sync.Mutex
	at map[netip.AddrPort]*program
}

type program struct {
	*guest
	last time.Time // when it last spoke
}

// order is a letter that a program wants sent.
type order struct {
	from    *guest
	payload []byte
}

func newPrograms(b *Bridge) *programs {
	return &programs{b: b, out: newOutbox(), work: make(chan order, maxWaiting), at: map[netip.AddrPort]*program{}}
}

// Program takes the payload of a Forward that came by UDP. Who said it is a guest from now on, if it lives on
// loopback and is no node; what strangers say is counted and left alone. It is called on the receive path.
func (b *Bridge) Program(from netip.AddrPort, payload []byte) {
	from = clean(from)
	if !from.Addr().IsLoopback() || b.c.Directory.Node(from) {
		b.counts.refused.Add(1)
		return
	}
	g := b.programs.admit(from, time.Now())
	if g == nil {
		b.counts.refused.Add(1)
		return
	}
	select {
	case b.programs.work <- order{g, slices.Clone(payload)}:
	default:
		b.counts.poor.Add(1)
	}
}

// admit returns the guest at an address, a new one if need be; nil if there are too many.
func (p *programs) admit(from netip.AddrPort, now time.Time) *guest {
	running := true
	p.start.Do(func() {
		if running = p.b.begin() == nil; running {
			go p.run()
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.at[from]; old != nil {
		old.last = now
		return old.guest
	}
	if !running || len(p.at) >= maxPrograms {
		return nil
	}
	p.b.mu.Lock()
	purse, err := p.b.purseLocked("", now)
	p.b.mu.Unlock()
	if err != nil {
		return nil
	}
	g := newGuest(from, purse, p.out)
	p.at[from] = &program{g, now}
	p.b.join(g)
	return g
}

// spoke notes that a program has said something, and reports whether it is one.
func (p *programs) spoke(from netip.AddrPort, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.at[from]
	if old == nil || now.Sub(old.last) >= stay {
		return false
	}
	old.last = now
	return true
}

func (p *programs) len(now time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.at {
		if now.Sub(o.last) < stay {
			n++
		}
	}
	return n
}

// expire lets those go that were silent, and returns how long nobody else has to.
func (p *programs) expire(now time.Time) (next time.Duration) {
	var gone []*guest
	next = stay
	p.mu.Lock()
	for a, o := range p.at {
		if left := stay - now.Sub(o.last); left > 0 {
			next = min(next, left)
			continue
		}
		delete(p.at, a)
		gone = append(gone, o.guest)
	}
	p.mu.Unlock()
	for _, g := range gone {
		p.b.leave(g)
	}
	return next
}

// is reports whether a guest is one still.
func (p *programs) is(g *guest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.at[g.addr]
	return o != nil && o.guest == g
}

// run sends until the bridge closes.
func (p *programs) run() {
	defer p.b.wg.Done()
	timer := time.NewTimer(stay)
	defer timer.Stop()
	for {
		select {
		case <-p.b.ctx.Done():
			return
		case <-timer.C:
			timer.Reset(p.expire(time.Now()))
		case o := <-p.work:
			l, err := wire.ParseForward(o.payload)
			if err != nil {
				p.b.counts.ignored.Add(1)
				continue
			}
			p.b.forward(o.from, l)
		case <-p.out.ready:
			p.expire(time.Now())
			p.deliver()
		}
	}
}

// deliver empties the outbox.
func (p *programs) deliver() {
	for {
		l, ok := p.out.next()
		if !ok {
			return
		}
		if p.is(l.to) && p.b.c.Node.Deliver(l.to.addr, l.text) != nil {
			p.b.counts.failed.Add(1)
		}
		p.out.written(l)
	}
}
