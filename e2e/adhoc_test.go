//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAdhoc(t *testing.T) {
	needs(t, "ip")
	ns := newNamespace(t)
	rng := choices(t)
	dir := folder(t)
	path := filepath.Join(dir, "large")
	generate(t, path, large(t), 1)
	seed, addr := seeding(t, ns.how(), "127.0.0.1:0", path)
	id := "blake3/" + seed.file(path).BLAKE3
	if os.Getenv("KIND") == "sha" {
		id = seed.file(path).SHA256
	}
	target := filepath.Join(folder(t), "copy")
	_ = rng
	var fetched, prev float64
	for i := range 20 {
		lo := ns.received("lo")
		get := getting(t, ns.how(), "127.0.0.1:0", addr, id, target, "--progress-interval", "10ms")
		first, ok := get.find(func(e event) bool { return e.Type == "status" && e.Done > 0 })
		if !ok {
			t.Log("ended")
			break
		}
		if i > 0 {
			t.Logf("resumed at most %.1f, held %.1f before: lost %.1f", float64(first.Done)/mib, prev, prev-float64(first.Done)/mib)
		}
		last, ok := get.find(func(e event) bool { return e.Type == "status" && e.Done >= first.Done+large(t)/22 })
		get.kill()
		all := get.all(isType("status"))
		last = all[len(all)-1]
		got := float64(ns.received("lo")-lo) / 1.43 / mib
		fetched += got
		prev = float64(last.Done) / mib
		t.Logf("run %d: from %.1f to %.1f = %.1f, on the wire %.1f", i, float64(first.Done)/mib, prev, float64(last.Done-first.Done)/mib, got)
	}
}
