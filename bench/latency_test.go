package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/node"
	"sharer/seed"
)

// BenchmarkLatency fetches contents of one block, one after the other, over loopback from a peer that is known: how long one
// takes, whole, file and all.
func BenchmarkLatency(b *testing.B) {
	const files = 64
	dir := b.TempDir()
	source := filepath.Join(dir, "source")
	must(b, os.Mkdir(source, 0o700))
	rng := rand.NewChaCha8([32]byte{4})
	for i := range files {
		must(b, fill(filepath.Join(source, name(i)), chunk.BlockSize, rng))
	}
	up := started(b, node.Config{Listen: []string{"127.0.0.1:0"}, StateDir: filepath.Join(dir, "state"), Isolated: true})
	var ids []chunk.ID
	_, err := up.Seed(context.Background(), seed.Options{Paths: []string{source}}, func(e seed.Event) {
		if e.Kind == seed.FileDone {
			ids = append(ids, chunk.ID{Kind: chunk.BLAKE3, Hash: e.File.Content.BLAKE3})
		}
	})
	must(b, err)
	down := started(b, node.Config{Listen: []string{"127.0.0.1:0"}, Peers: up.Addrs(), Isolated: true})
	target := filepath.Join(dir, "copy")
	fetch := func(i int) time.Duration {
		begun := time.Now()
		_, err := down.Get(context.Background(), node.Get{ID: ids[i%files], Size: -1, Path: target, Peers: up.Addrs()})
		took := time.Since(begun)
		must(b, err)
		must(b, os.Remove(target))
		return took
	}
	fetch(0) // they know each other now
	var took []time.Duration
	for b.Loop() {
		took = append(took, fetch(len(took)))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
}
