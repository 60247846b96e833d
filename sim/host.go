package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/seed"
)

// Host is a node that runs in a world. What it fetches is compared with what was seeded.
type Host struct {
	*node.Node
	At       netip.AddrPort // its first address
	Conn     *netsim.Conn
	Contents []*Content // what it was made to seed

	w      *World
	life   *life
	config node.Config
	files  map[*Content]string
	close  sync.Once
}

// Node runs a node at addresses, or at a new one. Conn and Rand of the config are set here.
func (w *World) Node(c node.Config, at ...netip.AddrPort) *Host {
	w.t.Helper()
	if len(at) == 0 {
		at = []netip.AddrPort{w.Addr()}
	}
	return w.nodeOn(w.Host(at...), c)
}

// FaultyNode runs a node at a new address, on sockets that fail by script.
func (w *World) FaultyNode(c node.Config) (*Host, *netsim.Faulty) {
	w.t.Helper()
	conn := w.Host(w.Addr())
	f := netsim.NewFaulty(conn)
	c.Conn = f
	return w.nodeOn(conn, c), f
}

// nodeOn runs a node on sockets, whose addresses outside of their NAT may be other ones.
func (w *World) nodeOn(conn *netsim.Conn, c node.Config, outside ...netip.Addr) *Host {
	w.t.Helper()
	at := conn.LocalAddrs()
	key := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", w.Seed, at[0], outside))
	if c.Conn == nil {
		c.Conn = conn
	}
	c.Rand = rand.NewChaCha8(key)
	c.Congestion = max(c.Congestion, w.control)
	c.StoreMinFree = -1 // how full the machine's disk is has no part in a simulation
	h := &Host{At: at[0], Conn: conn, w: w, config: c, files: map[*Content]string{}}
	h.life = w.watch.born(h, at, conn.Prefixes(), limits{up: c.Up, down: c.Down, peer: c.UpPerPeer, downPeer: c.DownPerPeer})
	for _, a := range outside {
		w.watch.moved(h.life, a)
	}
	if len(outside) == 0 {
		w.watch.at(h.life, at)
	}
	w.watch.given(h.life, c.Peers...)
	w.mu.Lock()
	w.watch.restore(h.life, w.known[c.StateDir])
	w.mu.Unlock()
	n, err := node.Start(c)
	if err != nil {
		w.t.Fatalf("start a node at %s: %v", at[0], err)
	}
	h.Node = n
	w.mu.Lock()
	w.live = append(w.live, h)
	w.mu.Unlock()
	return h
}

// Seeder runs a node that seeds contents of these sizes.
func (w *World) Seeder(c node.Config, sizes ...int) *Host {
	w.t.Helper()
	rng := w.Rand()
	var all []*Content
	for _, size := range sizes {
		one, err := randomContent(rng, size)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, one)
	}
	return w.SeederOf(c, all...)
}

// SeederOf runs a node that seeds contents.
func (w *World) SeederOf(c node.Config, contents ...*Content) *Host {
	w.t.Helper()
	if c.StateDir == "" {
		c.StateDir = w.Path("state")
	}
	h := w.Node(c)
	h.SeedContents(contents...)
	return h
}

// SeedContents writes contents to files of a new folder and seeds it.
func (h *Host) SeedContents(contents ...*Content) (folder string) {
	h.w.t.Helper()
	folder = filepath.Dir(h.w.Path("x"))
	for i, c := range contents {
		h.w.Know(c)
		path := filepath.Join(folder, fmt.Sprint(i, "-", len(c.Data)))
		if err := os.WriteFile(path, c.Data, 0o600); err != nil {
			h.w.t.Fatal(err)
		}
		h.files[c] = path
	}
	if _, err := h.Seed(h.w.t.Context(), seed.Options{Paths: []string{folder}}, nil); err != nil {
		h.w.t.Fatal(err)
	}
	h.Contents = append(h.Contents, contents...)
	return folder
}

// FileOf is the path of the file that SeedContents wrote for a content.
func (h *Host) FileOf(c *Content) string { return h.files[c] }

// Know tells the checkers what the ids of contents stand for.
func (w *World) Know(contents ...*Content) {
	for _, c := range contents {
		w.watch.know(c)
	}
}

func (h *Host) String() string { return h.At.String() }

// Give is the node's Give; the checkers hear of it too.
func (h *Host) Give(addrs ...netip.AddrPort) int {
	h.w.watch.given(h.life, addrs...)
	return h.Node.Give(addrs...)
}

// Ping is the node's Ping.
func (h *Host) Ping(ctx context.Context, a netip.AddrPort) (node.Pong, error) {
	h.w.watch.given(h.life, a)
	return h.Node.Ping(ctx, a)
}

// Chat is the node's Chat.
func (h *Host) Chat(ctx context.Context, a netip.AddrPort, text string) (node.Said, error) {
	h.w.watch.given(h.life, a)
	return h.Node.Chat(ctx, a, text)
}

// Get is the node's Get. A finished file is compared with the content, one that is not is at the end. When it is finished everything has been
// seen that is sent or arrives at that instant: what OnPacket has counted can be read.
func (h *Host) Get(ctx context.Context, g node.Get) (node.Got, error) {
	h.w.watch.given(h.life, g.Peers...)
	got, err := h.Node.Get(ctx, g)
	if err == nil {
		h.w.Rest()
		h.w.watch.finished(h.life)
		h.w.checkFile(g)
		return got, nil
	}
	h.w.mu.Lock()
	h.w.gets = append(h.w.gets, unfinished{g.ID, g.Path})
	h.w.mu.Unlock()
	return got, err
}

// Fetch gets an id to a new file, without hints, and fails the test if that fails. It may be called from any goroutine of the
// bubble.
func (h *Host) Fetch(id chunk.ID) (node.Got, bool) {
	h.w.t.Helper()
	got, err := h.Get(h.w.t.Context(), node.Get{ID: id, Size: -1, Path: h.w.Path("got")})
	if err != nil {
		h.w.t.Errorf("%s: get %s: %v (%+v)", h, id, err, got)
	}
	return got, err == nil
}

// Banned reports whether the node says that it has banned an address.
func (h *Host) Banned(a netip.AddrPort) bool {
	for _, p := range h.Peers() {
		if p.Addr == a && p.Banned {
			return true
		}
	}
	return false
}

// Close brings the world to rest, compares the node's counters with the network's, and ends the node.
func (h *Host) Close() (err error) {
	h.w.t.Helper()
	h.close.Do(func() {
		h.w.mu.Lock()
		for i, o := range h.w.live {
			if o == h {
				h.w.live = append(h.w.live[:i:i], h.w.live[i+1:]...)
				break
			}
		}
		h.w.mu.Unlock()
		h.w.Rest()
		h.w.watch.look(h.life, h.Stats())
		h.w.watch.atRest(h.life, h.Stats())
		heard := h.w.watch.died(h.life)
		h.w.mu.Lock()
		if dir := h.config.StateDir; dir != "" {
			h.w.known[dir] = heard
		}
		h.w.mu.Unlock()
		err = ignoreClosed(h.Node.Close())
	})
	return err
}

// unfinished is a download that was given up.
type unfinished struct {
	id   chunk.ID
	path string
}

// checkFile is C1 for a file that counts as finished.
func (w *World) checkFile(g node.Get) {
	w.t.Helper()
	want, ok := w.watch.truth(g.ID)
	if !ok {
		return
	}
	if data, err := os.ReadFile(g.Path); err != nil || !bytes.Equal(data, want) {
		w.violated(C1, fmt.Sprintf("%s: a finished file of %d bytes is not the %d bytes of %s (%v)", g.Path, len(data), len(want), g.ID, err), nil)
	}
	for _, suffix := range []string{"", ".sharer", ".tree"} {
		if _, err := os.Lstat(chunk.PartName(g.Path) + suffix); err == nil {
			w.t.Errorf("%s%s is left over", chunk.PartName(g.Path), suffix)
		}
	}
}

// checkPartials is C1 for what was not finished: whatever counts as done must be the content. Under sha256 nothing can be said of a part.
func (w *World) checkPartials() {
	w.t.Helper()
	for _, u := range w.gets {
		want, ok := w.watch.truth(chunk.ID{Kind: chunk.BLAKE3, Hash: u.id.Hash})
		if _, err := os.Stat(chunk.PartName(u.path)); !ok || err != nil || u.id.Kind == chunk.SHA256 {
			continue
		}
		bad, err := partialLies(u.path, u.id.Hash, want)
		if err != nil {
			w.t.Errorf("%s: the partial cannot be opened: %v", u.path, err)
		}
		for _, r := range bad {
			w.violated(C1, fmt.Sprintf("%s: blocks %d to %d count as done and are not those of %s", u.path, r.From, r.To-1, u.id), nil)
		}
	}
}

// partialLies opens a partial and returns its lies.
func partialLies(path string, hash chunk.Hash, want []byte) (bad []chunk.Range, err error) {
	p, err := chunk.OpenPartial(path, chunk.ID{Kind: chunk.BLAKE3, Hash: hash}, chunk.PartialOptions{})
	if err != nil {
		return nil, err
	}
	bad = liesOf(p, want)
	return bad, p.Close()
}

// liesOf returns the blocks that a partial says are done, and that differ from the truth.
func liesOf(p *chunk.Partial, want []byte) (bad []chunk.Range) {
	for _, r := range p.Done().All() {
		for b := r.From; b < r.To; b++ {
			from := min(b*chunk.BlockSize, int64(len(want)))
			to := min(from+chunk.BlockSize, int64(len(want)))
			got := make([]byte, max(to-from, 1))
			if _, err := p.ReadAt(got, b*chunk.BlockSize); err != nil || !bytes.Equal(got, want[from:to]) {
				bad = append(bad, chunk.Range{From: b, To: b + 1})
			}
		}
	}
	return bad
}
