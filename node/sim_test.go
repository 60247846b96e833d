package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/seed"
)

// world is a simulated network with nodes in it, for one test inside a bubble.
type world struct {
	*netsim.Network
	t     *testing.T
	hosts int
	nodes []*Node
}

func newWorld(t *testing.T, link netsim.Link) *world {
	w := &world{Network: netsim.New(1, link), t: t}
	return w
}

// close ends all nodes and the network; the bubble sees to it that nothing is left.
func (w *world) close() {
	for _, n := range w.nodes {
		if err := n.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			w.t.Errorf("close: %v", err)
		}
	}
	w.Close()
}

// addr is the address of the next host: each in a network of its own, as strangers are.
func (w *world) addr() netip.AddrPort {
	w.hosts++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(w.hosts), 0, 1}), DefaultPort)
}

// start runs a node at a new address.
func (w *world) start(c Config) (*Node, netip.AddrPort) {
	w.t.Helper()
	at := w.addr()
	c.Conn = w.Host(at)
	c.Rand = rand.NewChaCha8(sha256.Sum256([]byte(at.String())))
	n, err := Start(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes = append(w.nodes, n)
	return n, at
}

// seeder runs a node that seeds files of these sizes, and returns their contents.
func (w *world) seeder(c Config, sizes ...int) (*Node, netip.AddrPort, []content) {
	w.t.Helper()
	c.StateDir = filepath.Join(w.t.TempDir(), "state")
	n, at := w.start(c)
	dir := w.t.TempDir()
	var all []content
	for i, size := range sizes {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(i), byte(size)}).Read(data)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i, "-", size)), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
		sums, err := chunk.Sum(w.t.Context(), bytes.NewReader(data), int64(size), nil, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, content{data, sums})
	}
	if _, err := n.Seed(w.t.Context(), seed.Options{Paths: []string{dir}}, nil); err != nil {
		w.t.Fatal(err)
	}
	return n, at, all
}

// content is what a seeder has.
type content struct {
	data []byte
	sums chunk.Sums
}

func (c content) blake3() chunk.ID { return chunk.ID{Kind: chunk.BLAKE3, Hash: c.sums.BLAKE3} }
func (c content) sha256() chunk.ID { return chunk.ID{Kind: chunk.SHA256, Hash: c.sums.SHA256} }
func (c content) tree() chunk.ID   { return chunk.ID{Kind: chunk.BLAKE3Tree, Hash: c.sums.BLAKE3} }

// fetch gets an id to a new file and compares it with want.
func fetch(t *testing.T, n *Node, id chunk.ID, want []byte) Got {
	t.Helper()
	path := filepath.Join(t.TempDir(), "got")
	got, err := n.Get(context.Background(), Get{ID: id, Size: -1, Path: path, StallTimeout: time.Minute})
	if err != nil {
		t.Fatalf("get %s: %v (%+v)", id, err, got)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Fatalf("get %s: %d bytes that are not the %d wanted", id, len(data), len(want))
	}
	for _, left := range []string{path + ".part", path + ".part.sharer", path + ".part.tree"} {
		if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over", left)
		}
	}
	return got
}

// treeOf is the tree file of data.
func treeOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var m memory
	if _, err := chunk.Sum(t.Context(), bytes.NewReader(data), int64(len(data)), &m, nil); err != nil {
		t.Fatal(err)
	}
	return m.b
}

// Every size around the edges of blocks and trees, by all three kinds of id.
func TestSizesByAllKindsOfID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, netsim.Link{Delay: 5 * time.Millisecond, Rate: 12.5e6, Queue: 1 << 20})
		defer w.close()
		sizes := []int{0, 1, 4095, 4096, 4097, 8192, 12289, 28673, 1<<20 + 1}
		_, at, contents := w.seeder(Config{}, sizes...)
		n, _ := w.start(Config{Peers: []netip.AddrPort{at}})
		for _, c := range contents {
			fetch(t, n, c.sha256(), c.data)
			fetch(t, n, c.blake3(), c.data)
			fetch(t, n, c.tree(), treeOf(t, c.data))
		}
	})
}

// seedCounting seeds contents whose byte i is i mod 251, as the vectors do.
func seedCounting(t *testing.T, n *Node, sizes ...int) {
	t.Helper()
	dir := t.TempDir()
	for _, size := range sizes {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i % 251)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(size)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil); err != nil {
		t.Fatal(err)
	}
}

// vectorLines reads a file of the recorded wire.
func vectorLines(t *testing.T, name string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(text), []byte("\n"))
}
