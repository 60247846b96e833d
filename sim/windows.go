package sim

import (
	"hash/maphash"
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/node"
	"sharer/wire"
)

// C6 has two halves, both in bytes on the wire. What a node says of itself is looked at now and then, and right after it has
// asked: what is in flight to a peer is within the window. And what the wire shows, the answers to requests younger than the
// shortest round trip that have none yet, must never be more than the largest window that the node has owned to: such
// requests cannot have been given up, so the node must count them.

// sampled: each so many'th request of a pair is followed by a look.
const sampled = 16

// answerBytes is the least that the answer to a request takes on the wire: base64, unless raw is asked for, and the headers.
func answerBytes(m wire.PleaseSendContent) int {
	n := int(min(m.Length, chunk.BlockSize))
	if m.Raw == 0 {
		n = (n + 2) / 3 * 4
	}
	return n + wire.HeaderBytes
}

// pairWindow is what a node has asked of one peer.
type pairWindow struct {
	out    map[uint64]asked // requests without answer, by content and offset
	order  []asked          // of them, by time; answered ones are among them
	bytes  int              // that the answers to out take at least
	rtt    time.Duration    // the shortest, 0: none yet
	n      int              // requests so far
	window int              // the largest that was owned to, in bytes
	told   time.Time        // the last violation
}

// asked is one request.
type asked struct {
	key   uint64
	at    time.Time
	bytes int
}

var requestSeed = maphash.MakeSeed()

func requestKey(id []byte, offset int64) uint64 {
	var h maphash.Hash
	h.SetSeed(requestSeed)
	_, _ = h.Write(id) // never fails
	for i := range 8 {
		_ = h.WriteByte(byte(offset >> (8 * i))) // never fails
	}
	return h.Sum64()
}

// askedLocked notes the requests in what a node sends.
func (w *watch) askedLocked(l *life, d *datagram) {
	for i := range d.es {
		if d.es[i].Name != "PleaseSendContent" {
			continue
		}
		m, err := wire.ParsePleaseSendContent(d.es[i].Payload)
		if err != nil {
			continue
		}
		w.traffic.of(d.to, d.from).Requests++
		p := l.windows[d.to]
		if p == nil {
			p = newPairWindow()
			l.windows[d.to] = p
		}
		p.ask(asked{requestKey(m.ID, m.Offset), d.at, answerBytes(m)})
		if p.n%sampled == 1 || p.young(d.at) > p.window {
			w.wantLocked(l)
		}
	}
}

// answeredLocked notes the answers in what reaches a node.
func (w *watch) answeredLocked(l *life, d *datagram) {
	p := l.windows[d.from]
	if p == nil {
		return
	}
	for i := range d.es {
		if d.es[i].Name == "Content" {
			if m, err := w.contentLocked(&d.es[i], d.to); err == nil {
				p.answer(requestKey(m.ID, m.Offset), d.at)
			}
		}
	}
}

func newPairWindow() *pairWindow { return &pairWindow{out: map[uint64]asked{}} }

func (p *pairWindow) ask(a asked) {
	p.n++
	p.forget(a.key)
	p.out[a.key] = a
	p.bytes += a.bytes
	p.order = append(p.order, a)
}

func (p *pairWindow) forget(key uint64) {
	p.bytes -= p.out[key].bytes
	delete(p.out, key)
}

func (p *pairWindow) answer(key uint64, now time.Time) {
	if a, ok := p.out[key]; ok {
		p.forget(key)
		if rtt := now.Sub(a.at); p.rtt == 0 || rtt < p.rtt {
			p.rtt = rtt
		}
	}
}

// young is what the answers take to requests that have none and are younger than a round trip.
func (p *pairWindow) young(now time.Time) int {
	for len(p.order) > 0 {
		a := p.order[0]
		if p.out[a.key] == a {
			if now.Sub(a.at) < p.rtt {
				break
			}
			p.forget(a.key)
		}
		p.order = p.order[1:]
	}
	return p.bytes
}

// windowsLocked is told at a time what a node says of its windows.
func (w *watch) windowsLocked(l *life, s node.Stats, now time.Time) {
	if len(s.Downloads) == 0 {
		return
	}
	type sum struct{ inFlight, window int }
	sums := map[netip.AddrPort]sum{}
	for i := range s.Downloads {
		for _, src := range s.Downloads[i].Sources {
			t := sums[bare(src.Addr)]
			sums[bare(src.Addr)] = sum{t.inFlight + src.InFlight, t.window + src.Window}
		}
	}
	for a, t := range sums {
		p := l.windows[a]
		if p == nil {
			continue
		}
		if wrong := p.judge(t.inFlight, t.window, now); wrong != "" {
			w.foundLocked(C6, sprint(l, " and ", a, ": ", wrong))
		}
	}
}

// judge compares what a node says is in flight, and what the wire shows, with its window. It tells once a second at most.
func (p *pairWindow) judge(inFlight, window int, now time.Time) (wrong string) {
	p.window = max(p.window, window)
	young := p.young(now)
	switch {
	case !p.told.IsZero() && now.Sub(p.told) < time.Second:
	case inFlight > window:
		wrong = sprint(inFlight, " bytes are said to be in flight, the window is ", window)
	case young > p.window:
		wrong = sprint("the answers to what was asked within one round trip of ", p.rtt, " take ", young, " bytes, the largest window was ", p.window)
	}
	if wrong != "" {
		p.told = now
	}
	return wrong
}

// windowOf is the largest window that a node has owned to. It is called by followers, on the network's goroutine.
func (w *watch) windowOf(l *life, peer netip.AddrPort) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := l.windows[peer]; p != nil {
		return p.window
	}
	return 0
}
