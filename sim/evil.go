package sim

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/wire"
)

// Evil is a peer that does what its behaviours say. It speaks the wire well enough to be believed: unless a behaviour forbids,
// it returns cookies, answers pings, and answers for content what its behaviours make of each request.
type Evil struct {
	At   netip.AddrPort
	Conn *netsim.Conn

	w     *World
	bs    []Behaviour
	done  chan struct{} // closed by Close
	close sync.Once
	wg    sync.WaitGroup

	mu         sync.Mutex
	rng        *rand.Rand
	theirs     map[netip.AddrPort][]byte // cookies that are to be returned
	did        map[string]int
	asked      int
	rawAnswers int
	mute       bool // returns no cookie
	stale      bool // returns the first cookie for ever

	raw      bool                    // answers raw where that is asked for
	wary     bool                    // wants a cookie of its own to be returned
	known    map[netip.AddrPort]bool // returned it with the latest datagram
	together int                     // answers to one datagram go in one, of so many bytes at most; 0: each goes alone
	joint    []wire.Message          // what answers the datagram that is read
}

// A Behaviour is one way of being a peer. They are composed: each hook of each behaviour is called in order. Hooks run under the
// peer's lock but for Run; any may be nil.
type Behaviour struct {
	Name string
	// Answer changes what the behaviours before it answer to a request; the first gets none.
	Answer func(e *Evil, q Ask, as []Answer) []Answer
	// Heard is called with every datagram, before it is read; true says that nothing else is done with it.
	Heard func(e *Evil, d wire.Datagram) (done bool)
	// Run is a goroutine of its own. It ends when Sleep says so.
	Run func(e *Evil)
	// Set is called once, before anything else.
	Set func(e *Evil)
}

// Ask is one request for content.
type Ask struct {
	From           netip.AddrPort
	ID             chunk.ID
	Offset, Length int64
	N              int  // requests so far, this one included
	Proven         bool // it came with the cookie of a wary peer
	text           []byte
	raw            wire.Handle
}

// Answer is one Content, and how it is sent.
type Answer struct {
	wire.Content
	After time.Duration
	From  netip.AddrPort // forged source; zero: none
	Ahead []wire.Message // what stands before it in the same datagram
}

// Evil starts a peer.
func (w *World) Evil(bs ...Behaviour) *Evil { return w.EvilAt(w.Addr(), bs...) }

// EvilAt starts a peer at an address.
func (w *World) EvilAt(at netip.AddrPort, bs ...Behaviour) *Evil {
	e := &Evil{
		At: at, Conn: w.Host(at), w: w, bs: bs, done: make(chan struct{}),
		rng: w.Rand(), theirs: map[netip.AddrPort][]byte{}, did: map[string]int{}, known: map[netip.AddrPort]bool{},
	}
	w.mu.Lock()
	w.evils = append(w.evils, e)
	w.mu.Unlock()
	for _, b := range bs {
		if b.Set != nil {
			b.Set(e)
		}
	}
	e.wg.Go(e.read)
	for _, b := range bs {
		if b.Run != nil {
			e.wg.Go(func() { b.Run(e) })
		}
	}
	return e
}

// Close ends the peer.
func (e *Evil) Close() {
	e.close.Do(func() {
		close(e.done)
		if err := ignoreClosed(e.Conn.Close()); err != nil {
			e.w.t.Errorf("evil %s: close: %v", e.At, err)
		}
		e.wg.Wait()
	})
}

// Sleep waits; false: the peer has ended.
func (e *Evil) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-e.done:
		return false
	case <-timer.C:
		return true
	}
}

// Count is how often a behaviour did what it is named for.
func (e *Evil) Count(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.did[name]
}

// Lies is how often any behaviour did so.
func (e *Evil) Lies() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.did {
		n += k
	}
	return n
}

// Asked is the number of requests for content that came.
func (e *Evil) Asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

// Cookie is what a node wants to have returned, nil before it said so.
func (e *Evil) Cookie(of netip.AddrPort) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.theirs[of]
}

// Send sends messages in one datagram, with the receiver's cookie behind them.
func (e *Evil) Send(to netip.AddrPort, ms ...wire.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sendLocked(to, ms...)
}

// Draw is a number of at least 0 and less than n, drawn from the peer's own chance. For hooks.
func (e *Evil) Draw(n int) int { return e.rng.IntN(n) }

// Note counts that a behaviour did what it is named for. For hooks.
func (e *Evil) Note(name string) { e.did[name]++ }

func (e *Evil) sendLocked(to netip.AddrPort, ms ...wire.Message) {
	e.rawLocked(to, e.array(to, ms...))
}

// array is a datagram for to.
func (e *Evil) array(to netip.AddrPort, ms ...wire.Message) []byte {
	if p := e.theirs[to]; p != nil && !e.mute {
		ms = append(ms[:len(ms):len(ms)], wire.AlwaysReturned{Value: p})
	}
	if e.wary && !e.known[to] {
		ms = append(ms[:len(ms):len(ms)], wire.PleaseAlwaysReturnThisMessage{Value: e.own(to)})
	}
	return wire.AppendArray(nil, ms...)
}

// own is the cookie of a wary peer for an address.
func (e *Evil) own(to netip.AddrPort) []byte {
	h := fnv.New32a()
	h.Write([]byte(e.At.String() + to.String()))
	return wire.CookieValue(fmt.Sprintf("%08x", h.Sum32()))
}

// Raw sends bytes.
func (e *Evil) Raw(to netip.AddrPort, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rawLocked(to, data)
}

func (e *Evil) rawLocked(to netip.AddrPort, data []byte) {
	if _, err := e.Conn.WriteBatch([]wire.Datagram{{Addr: to, Data: data}}); ignoreClosed(err) != nil {
		panic(fmt.Sprintf("sim: evil %s: send %d bytes to %s: %v", e.At, len(data), to, err)) // a script that is wrong
	}
}

func (e *Evil) read() {
	for {
		ds, err := e.Conn.ReadBatch()
		if err != nil {
			return
		}
		e.mu.Lock()
		for _, d := range ds {
			e.datagram(d)
		}
		e.mu.Unlock()
	}
}

func (e *Evil) datagram(d wire.Datagram) {
	for _, b := range e.bs {
		if b.Heard != nil && b.Heard(e, d) {
			return
		}
	}
	es, _, err := wire.Split(nil, d.Data)
	if err != nil {
		return
	}
	for _, el := range es {
		if el.Name == "PleaseAlwaysReturnThisMessage" && !(e.stale && e.theirs[d.Addr] != nil) {
			e.theirs[d.Addr] = append([]byte(nil), el.Payload...)
		}
	}
	e.known[d.Addr] = slices.ContainsFunc(es, func(el wire.Element) bool {
		return el.Name == "AlwaysReturned" && bytes.Equal(el.Payload, e.own(d.Addr))
	})
	for _, el := range es {
		switch el.Name {
		case "PleaseReturnThisMessage":
			e.sendLocked(d.Addr, wire.ReturnedMessage{Value: el.Payload})
		case "PleaseSendContent":
			e.request(d.Addr, el)
		}
	}
	if len(e.joint) > 0 {
		if len(e.joint) > 1 {
			e.Note("several")
		}
		if data := e.array(d.Addr, e.joint...); len(data) > e.together {
			e.Note("too much")
		} else {
			e.rawLocked(d.Addr, data)
		}
		e.joint = nil
	}
}

func (e *Evil) request(from netip.AddrPort, el wire.Element) {
	m, err := wire.ParsePleaseSendContent(el.Payload)
	if err != nil {
		return
	}
	id, err := chunk.ParseID(m.ID)
	if err != nil {
		return
	}
	e.asked++
	q := Ask{From: from, ID: id, Offset: m.Offset, Length: m.Length, N: e.asked, Proven: e.known[from], text: append([]byte(nil), m.ID...), raw: m.Raw}
	var as []Answer
	for _, b := range e.bs {
		if b.Answer != nil {
			as = b.Answer(e, q, as)
		}
	}
	for _, a := range as {
		e.answer(q, a)
	}
}

func (e *Evil) answer(q Ask, a Answer) {
	if a.ID == nil {
		a.ID = q.text
	}
	ms := append(a.Ahead[:len(a.Ahead):len(a.Ahead)], a.Content)
	if e.together > 0 {
		e.joint = append(e.joint, ms...)
		return
	}
	if e.raw && q.raw != 0 && len(a.Ahead) == 0 {
		a.Content.For = q.raw
		ms[0] = a.Content
		e.rawAnswers++
	}
	data := e.array(q.From, ms...)
	if a.Content.For != 0 {
		data = append(data, a.Content.Data...)
	}
	send := func() {
		if a.From.IsValid() {
			e.w.Inject(a.From, q.From, data)
		} else {
			e.rawLocked(q.From, data)
		}
	}
	if a.After <= 0 {
		send()
		return
	}
	e.wg.Go(func() {
		if e.Sleep(a.After) {
			e.mu.Lock()
			defer e.mu.Unlock()
			send()
		}
	})
}
