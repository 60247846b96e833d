package main

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"sharer/chunk"
	"sharer/node"
	"sharer/seed"
)

// transfer fetches a file of size bytes from one node by another over loopback, both in this process, and returns how
// many allocations that took, of both sides together.
func transfer(t testing.TB, size int64) (allocations float64) {
	t.Helper()
	dir := t.TempDir()
	path, target := filepath.Join(dir, "file"), filepath.Join(dir, "copy")
	must(t, fill(path, size, rand.NewChaCha8([32]byte{3})))
	up := started(t, node.Config{Listen: []string{"127.0.0.1:0"}, StateDir: filepath.Join(dir, "state"), Isolated: true})
	var id chunk.ID
	_, err := up.Seed(context.Background(), seed.Options{Paths: []string{path}}, func(e seed.Event) {
		if e.Kind == seed.FileDone {
			id = chunk.ID{Kind: chunk.BLAKE3, Hash: e.File.Content.BLAKE3}
		}
	})
	must(t, err)
	down := started(t, node.Config{Listen: []string{"127.0.0.1:0"}, Peers: up.Addrs(), Isolated: true})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = down.Get(context.Background(), node.Get{ID: id, Size: -1, Path: target, Peers: up.Addrs()})
	runtime.ReadMemStats(&after)
	must(t, err)
	must(t, same(path, target))
	must(t, os.Remove(target))
	return float64(after.Mallocs - before.Mallocs)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func started(t testing.TB, c node.Config) *node.Node {
	t.Helper()
	n, err := node.Start(c)
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	return n
}

// What a transfer allocates is for its beginning and its pools: what a longer one takes beyond a shorter one is some allocations for each
// stripe of 64 blocks that is written (the stripe, what of it is missing), and none for a datagram.
func TestNoAllocationPerDatagram(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: with the race detector pools forget at random")
	}
	const short, long = 32 << 20, 96 << 20
	transfer(t, short) // fills the pools
	per := math.Inf(1)
	// What a node does by the clock allocates as well, and a machine that is busy gives it time: the least of some tries counts. A datagram has
	// ten blocks at most here, so one allocation for each would be 0.1 more on either side.
	for range 5 {
		least := transfer(t, short)
		per = min(per, (transfer(t, long)-least)/float64((long-short)/chunk.BlockSize))
		if per <= 0.1 {
			break
		}
	}
	t.Logf("%.3f allocations for each block of content, both sides together", per)
	if per > 0.1 {
		t.Errorf("%.2f allocations for each block of content, both sides together; want none for a datagram", per)
	}
}

func BenchmarkTransfer(b *testing.B) {
	const size = 256 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		transfer(b, size)
	}
}
