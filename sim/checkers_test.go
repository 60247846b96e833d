package sim

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/swarm"
	"sharer/transfer"
	"sharer/wire"
)

// Each checker is shown what it must find, and what it must let pass.

var (
	nodeAt   = netip.MustParseAddrPort("20.1.0.1:24254")
	peerAt   = netip.MustParseAddrPort("20.2.0.1:24254")
	userGave = netip.MustParseAddrPort("20.3.0.1:24254")
	epoch    = time.Unix(1_000_000, 0)
)

// scene is a watch with one node in it, without a network.
type scene struct {
	t     *testing.T
	w     *watch
	l     *life
	now   time.Time
	found []Rule
	texts []string
}

func newScene(t *testing.T, lim limits) *scene {
	s := &scene{t: t, now: epoch}
	s.w = newWatch(epoch, func(r Rule, what string, _ []string) { s.found, s.texts = append(s.found, r), append(s.texts, what) })
	s.l = s.w.born(nil, []netip.AddrPort{nodeAt}, []netip.Prefix{netip.MustParsePrefix("20.1.0.0/24")}, lim)
	s.w.at(s.l, []netip.AddrPort{nodeAt})
	s.w.given(s.l, userGave)
	return s
}

func (s *scene) wait(d time.Duration) { s.now = s.now.Add(d) }

// says is a datagram of the node; hears one that reaches it.
func (s *scene) says(to netip.AddrPort, data []byte) {
	s.w.packet(netsim.Packet{At: s.now, From: nodeAt, To: to, Data: data, Outcome: netsim.Sent})
}

func (s *scene) hears(from netip.AddrPort, data []byte) {
	s.w.packet(netsim.Packet{At: s.now, From: from, To: nodeAt, Data: data, Outcome: netsim.Delivered})
}

// want compares what was found since the last call with a rule; "" is nothing.
func (s *scene) want(r Rule, of string) {
	s.t.Helper()
	switch {
	case r == "" && len(s.found) > 0:
		s.t.Errorf("%s: found %q", of, s.texts)
	case r != "" && (len(s.found) == 0 || s.found[0] != r):
		s.t.Errorf("%s: found %q, want one of %s", of, s.texts, r)
	}
	s.found, s.texts = nil, nil
}

// array is a datagram of size bytes at least, filled up with spaces.
func array(size int, ms ...wire.Message) []byte {
	b := wire.AppendArray(nil, ms...)
	b = b[:len(b)-1]
	for len(b) < size-1 {
		b = append(b, ' ')
	}
	return append(b, ']')
}

// rest is what follows the array of an answer.
func rest(m wire.Content) []byte {
	if m.For == 0 {
		return nil
	}
	return m.Data
}

func TestCheckerOfContent(t *testing.T) {
	c := contentOf(t, bytes.Repeat([]byte("sharer"), 2000))
	id, tree := []byte(c.BLAKE3().String()), []byte(c.TreeID().String())
	send := func(m wire.Content) Rule {
		s := newScene(t, limits{})
		s.w.know(c)
		s.hears(peerAt, array(10, wire.PleaseSendContent{ID: m.ID, Length: 4096}, wire.PleaseSendContent{ID: id, Length: 4096, Raw: 7})) // C3 is another matter
		s.w.late = nil
		s.says(peerAt, append(wire.AppendArray(nil, m), rest(m)...))
		for _, r := range s.found {
			if r == C1 {
				return r
			}
		}
		return ""
	}
	flipped := bytes.Clone(c.Data[:4096])
	flipped[77] ^= 4
	for _, tc := range []struct {
		name string
		m    wire.Content
		want Rule
	}{
		{"a block", wire.Content{ID: id, Offset: 4096, Data: c.Data[4096:8192], EOF: c.Size()}, ""},
		{"a part of the tail", wire.Content{ID: id, Offset: 8192, Data: c.Data[8192:9000], EOF: -1}, ""},
		{"a piece of the tree", wire.Content{ID: tree, Offset: 0, Data: c.Tree()[:64], EOF: int64(len(c.Tree()))}, ""},
		{"nothing past the end", wire.Content{ID: id, Offset: 1 << 40, Data: []byte{}, EOF: c.Size()}, ""},
		{"another content", wire.Content{ID: []byte(chunk.ID{Kind: chunk.BLAKE3}.String()), Data: flipped, EOF: 3}, ""},
		{"raw", wire.Content{For: 7, Offset: 4096, Data: c.Data[4096:8192], EOF: -1}, ""},
		{"raw, one bit", wire.Content{For: 7, Data: flipped, EOF: -1}, C1},
		{"raw, unasked", wire.Content{For: 8, Data: c.Data[:4096], EOF: -1}, C1},
		{"one bit", wire.Content{ID: id, Data: flipped, EOF: c.Size()}, C1},
		{"another offset", wire.Content{ID: id, Offset: 4095, Data: c.Data[4096:8192], EOF: c.Size()}, C1},
		{"bytes past the end", wire.Content{ID: id, Offset: c.Size() - 1, Data: []byte{c.Data[len(c.Data)-1], 0}, EOF: c.Size()}, C1},
		{"one bit of the tree", wire.Content{ID: tree, Data: flipped[:64], EOF: int64(len(c.Tree()))}, C1},
		{"another size", wire.Content{ID: id, Data: c.Data[:4096], EOF: c.Size() + 1}, C1},
	} {
		if got := send(tc.m); got != tc.want {
			t.Errorf("%s: found %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestCheckerOfPartials(t *testing.T) {
	c := contentOf(t, bytes.Repeat([]byte("0123456789abcdef"), 4096))
	path := t.TempDir() + "/file"
	p, err := chunk.OpenPartial(path, c.SHA256(), chunk.PartialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetSize(c.Size()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(2, c.Data[8192:16384]); err != nil {
		t.Fatal(err)
	}
	if lies := liesOf(p, c.Data); len(lies) > 0 {
		t.Errorf("of true blocks %v are called lies", lies)
	}
	f, err := os.OpenFile(chunk.PartName(path), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{'!'}, 3*4096+5); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if lies := liesOf(p, c.Data); len(lies) != 1 || lies[0].From != 3 {
		t.Errorf("a changed block was not found: %v", lies)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}

func TestCheckerOfConservation(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    swarm.Stats
		want Rule
	}{
		{"all handled", swarm.Stats{In: 3, Handled: 3}, ""},
		{"some dropped", swarm.Stats{In: 3, Handled: 1, Dropped: dropped(2)}, ""},
		{"one is missing", swarm.Stats{In: 3, Handled: 2}, C2},
		{"one was read and not counted", swarm.Stats{In: 2, Handled: 2}, C2},
		{"one was counted twice", swarm.Stats{In: 3, Handled: 3, Dropped: dropped(1)}, C2},
	} {
		s := newScene(t, limits{})
		for range 3 {
			s.hears(peerAt, []byte("[]"))
		}
		s.w.atRest(s.l, node.Stats{Gate: tc.s})
		s.want(tc.want, tc.name)
	}
	s := newScene(t, limits{})
	s.w.look(s.l, node.Stats{Gate: swarm.Stats{In: 1}})
	s.want(C2, "more in than were delivered, while it runs")
}

func dropped(n uint64) (d [len(swarm.Stats{}.Dropped)]uint64) {
	d[swarm.DropBanned] = n
	return d
}

func TestCheckerOfTables(t *testing.T) {
	for _, tc := range []struct {
		s    node.Stats
		want Rule
	}{
		{node.Stats{Peers: swarm.MaxPeers, Unproven: swarm.MaxUnproven, Holders: swarm.MaxIDs}, ""},
		{node.Stats{Peers: swarm.MaxPeers + 1}, C4},
		{node.Stats{Unproven: swarm.MaxUnproven + 1}, C4},
		{node.Stats{Holders: swarm.MaxIDs + 1}, C4},
	} {
		s := newScene(t, limits{})
		s.w.look(s.l, tc.s)
		s.want(tc.want, sprint(tc.s.Peers, " ", tc.s.Unproven, " ", tc.s.Holders))
	}
}

func TestCheckerOfGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{})
		w.Node(node.Config{})
		w.Close()
		if left := bubbleGoroutines(); len(left) > 0 {
			t.Errorf("after Close: %s", joinStacks(left))
		}
		stop := make(chan struct{})
		go func() { <-stop }()
		synctest.Wait()
		if left := bubbleGoroutines(); len(left) != 1 || !strings.Contains(left[0], "TestCheckerOfGoroutines") {
			t.Errorf("a goroutine that waits was not found: %s", joinStacks(left))
		}
		close(stop)
	})
}

func TestCheckerOfWindows(t *testing.T) {
	id := []byte(chunk.ID{Kind: chunk.BLAKE3}.String())
	ask := func(s *scene, block int64) {
		s.says(userGave, wire.AppendArray(nil, wire.PleaseSendContent{ID: id, Offset: block * 4096, Length: 4096}))
	}
	answer := func(s *scene, block int64) {
		s.hears(userGave, wire.AppendArray(nil, wire.Content{ID: id, Offset: block * 4096, Data: make([]byte, 4096), EOF: -1}))
	}
	look := func(s *scene, inFlight, window int) {
		s.w.mu.Lock()
		s.w.windowsLocked(s.l, node.Stats{Downloads: []transfer.Look{{Sources: []transfer.SourceLook{{Addr: userGave, InFlight: inFlight, Window: window}}}}}, s.now)
		s.w.unlockAndTell()
	}
	start := func() *scene {
		s := newScene(t, limits{})
		s.hears(userGave, array(3000)) // proof and rules of C3 are another matter here
		ask(s, 0)
		s.wait(100 * time.Millisecond)
		answer(s, 0)
		s.found, s.texts = nil, nil
		return s
	}
	each := answerBytes(wire.PleaseSendContent{Length: 4096})

	s := start()
	look(s, 5*each, 5*each)
	s.want("", "a full window")
	look(s, 5*each+1, 5*each)
	s.want(C6, "more in flight than the window")

	s = start()
	for b := range int64(5) {
		ask(s, b+1)
	}
	s.found = nil
	look(s, 0, 5*each)
	s.want("", "as many on the wire as fit")
	s.wait(99 * time.Millisecond)
	ask(s, 9)
	s.found = nil
	look(s, 0, 5*each)
	s.want(C6, "one more on the wire, whatever the node says")

	s = start()
	for b := range int64(5) {
		ask(s, b+1)
	}
	s.wait(100 * time.Millisecond)
	ask(s, 9)
	s.found = nil
	look(s, 0, 5*each)
	s.want("", "after a round trip they may have been given up")

	s = start()
	for b := range int64(5) {
		ask(s, b+1)
	}
	s.wait(99 * time.Millisecond)
	answer(s, 3)
	ask(s, 9)
	s.found = nil
	look(s, 0, 5*each)
	s.want("", "an answer makes room")
}

func TestCheckerOfLimits(t *testing.T) {
	const rate = 100_000
	const size = 1000 - wire.HeaderBytes
	spend := func(s *scene, n int, out bool) {
		for range n {
			if out {
				s.says(peerAt, make([]byte, size))
			} else {
				s.hears(peerAt, make([]byte, size))
			}
		}
		kept := s.found[:0]
		for _, r := range s.found {
			if r == C7 { // the others do not like these datagrams either
				kept = append(kept, r)
			}
		}
		if s.found = kept; len(kept) == 0 {
			s.texts = nil
		}
	}
	most := (rate + transfer.LimitBurst) / 1000
	for name, lim := range map[string]limits{"up": {up: rate}, "down": {down: rate}, "peer": {peer: rate}, "down peer": {downPeer: rate}} {
		out := lim.up+lim.peer > 0
		s := newScene(t, lim)
		spend(s, most, out)
		s.want("", name+": a second and a burst")
		spend(s, 1, out)
		s.want(C7, name+": one more")

		// Both are under the bar of each second.
		s = newScene(t, lim)
		for range 10 {
			spend(s, 107, out)
			s.wait(time.Second)
		}
		s.want("", name+": 7 % too much for ten seconds, which the burst covers")
		s = newScene(t, lim)
		for range 10 {
			spend(s, 112, out)
			s.wait(time.Second)
		}
		s.want(C7, name+": 12 % too much for ten seconds")
	}
	s := newScene(t, limits{})
	spend(s, 10*most, true)
	s.want("", "without a limit")
}
