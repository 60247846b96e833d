package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
	"sharer/node"
	"sharer/transfer"
)

// Options say what a world is made of. The zero value is seed 1 and perfect links.
type Options struct {
	Seed    uint64              // 0: 1
	Link    netsim.Link         // between any two hosts, where nothing else is said
	Poll    time.Duration       // how often node.Stats is looked at; 0: 500 ms
	Control transfer.Congestion // of nodes that say no other than the default
	Dir     string              // where nodes keep their files; empty: a folder of the test's
}

// World is a simulated network with nodes and other peers in it. Its methods are for goroutines of one bubble.
type World struct {
	*netsim.Network // Tap is free for tests; TapAll is the checkers', see OnPacket
	Seed            uint64
	Start           time.Time

	t       testing.TB
	control transfer.Congestion
	dir     string
	watch   *watch
	stop    chan struct{} // ends the poller
	ended   chan struct{}
	quiet   chan struct{} // one token: who holds it may wait for rest

	mu    sync.Mutex
	rng   *rand.Rand
	hosts int // addresses handed out
	files int // paths handed out
	live  []*Host
	evils []*Evil
	known map[string]map[netip.AddrPort]bool // addresses that a state folder may hold
	gets  []unfinished
}

// New makes a world. Close must be called before the bubble ends.
func New(t testing.TB, o Options) *World {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Poll == 0 {
		o.Poll = 500 * time.Millisecond
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	w := &World{
		Network: netsim.New(o.Seed, o.Link), Seed: o.Seed, Start: time.Now(), t: t, control: o.Control, dir: o.Dir,
		stop: make(chan struct{}), ended: make(chan struct{}), quiet: make(chan struct{}, 1),
		rng: rand.New(rand.NewPCG(o.Seed, 0x776f726c64)), known: map[string]map[netip.AddrPort]bool{},
	}
	w.quiet <- struct{}{}
	w.watch = newWatch(w.Start, w.violated)
	w.TapAll(w.watch.packet)
	go w.poll(o.Poll)
	return w
}

// Close brings the world to rest, runs the last checks, ends all nodes and peers and the network, and sees to
// it that nothing is left running. Tests whose own goroutines still use nodes have these ended with an error.
func (w *World) Close() {
	w.t.Helper()
	close(w.stop)
	<-w.ended
	for _, h := range w.Hosts() {
		if err := h.Close(); err != nil {
			w.t.Errorf("%s: close: %v", h, err)
		}
	}
	for _, e := range w.evils {
		e.Close()
	}
	w.Network.Close()
	w.checkPartials()
	w.Rest()
	if left := bubbleGoroutines(); len(left) > 0 {
		w.violated(C5, fmt.Sprintf("%d goroutines are left in the bubble after every node was closed:\n\n%s", len(left), joinStacks(left)), nil)
	}
	for _, line := range w.watch.untold() {
		w.t.Log(line)
	}
}

// Hosts returns the nodes that run, by time of their start.
func (w *World) Hosts() []*Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*Host(nil), w.live...)
}

// Rand returns a generator of the world's own, for the choices of a test.
func (w *World) Rand() *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64()))
}

// Context ends with the test of the world.
func (w *World) Context() context.Context { return w.t.Context() }

// Now is the virtual time since the world was made.
func (w *World) Now() time.Duration { return time.Since(w.Start) }

// Addr is the address of the next host: each in a network of its own (/16), as strangers are.
func (w *World) Addr() netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20 + byte(w.hosts>>8), byte(w.hosts), 0, 1}), node.DefaultPort)
}

// Path is a name for a new file in the world's folder.
func (w *World) Path(name string) string {
	w.mu.Lock()
	w.files++
	dir := filepath.Join(w.dir, fmt.Sprint(w.files))
	w.mu.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Rest waits until everything waits for something: virtual time does not pass meanwhile.
func (w *World) Rest() {
	<-w.quiet // synctest allows one waiter at a time
	synctest.Wait()
	w.quiet <- struct{}{}
}

// Inject sends a datagram from any address: a forged one, for which the checkers do not blame whoever has the address.
func (w *World) Inject(from, to netip.AddrPort, data []byte) {
	w.watch.forge(from, to, data)
	w.Network.Inject(from, to, data)
}

// OnPacket has f called with every packet and its fate, as TapAll does, after the checkers. f must not call the network.
func (w *World) OnPacket(f func(netsim.Packet)) { w.watch.follow(f) }

// Broken is how often a rule was found broken.
func (w *World) Broken(r Rule) int {
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	return w.watch.told[r]
}

// violated fails the test.
func (w *World) violated(r Rule, what string, concerned []string) {
	w.t.Helper()
	if tale := w.watch.tale(r, what, concerned, w.Seed, w.t.Name()); tale != "" {
		w.t.Error(tale)
	}
}

// poll looks at the nodes now and then, and at once when a checker wants to know.
func (w *World) poll(every time.Duration) {
	defer close(w.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			for _, h := range w.Hosts() {
				w.watch.look(h.life, h.Stats())
			}
		case <-w.watch.demand:
			for _, h := range w.watch.demanded(w.Hosts()) {
				w.watch.look(h.life, h.Stats())
			}
		}
	}
}

// ignoreClosed is an error that counts: a network that was closed first closes its hosts.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
