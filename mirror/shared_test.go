package mirror

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"sharer/chunk"
	"sharer/identity"
)

func keys(n int) (ks []identity.PublicKey) {
	for i := range n {
		var k identity.PublicKey
		binary.BigEndian.PutUint64(k[:], uint64(i)*0x9e3779b97f4a7c15)
		ks = append(ks, k)
	}
	return ks
}

// spread is how often each of the files is carried, and how many each mirror carries.
func spread(known []identity.PublicKey, r Rules, files []chunk.Hash) (copies []int, loads []int) {
	copies = make([]int, len(files))
	for _, k := range known {
		s, load := NewShared(r, k, known), 0
		for i, f := range files {
			if s.Carries(f) {
				copies[i]++
				load++
			}
		}
		loads = append(loads, load)
	}
	return copies, loads
}

// TestFiftyMirrors is the bar: 50 mirrors with five copies, ten leave at once.
func TestFiftyMirrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var files []chunk.Hash
	for range 1000 {
		var h chunk.Hash
		binary.BigEndian.PutUint64(h[:], rng.Uint64())
		files = append(files, h)
	}
	rules := plain(func(r *Rules) { r.Copies = 5 })
	known := keys(50)
	copies, loads := spread(known, rules, files)
	most, total := 0, 0
	for _, l := range loads {
		most, total = max(most, l), total+l
	}
	for i, c := range copies {
		if c != 5 {
			t.Fatalf("file %d has %d copies, want 5", i, c)
		}
	}
	if mean := float64(total) / 50; float64(most) > 1.6*mean {
		t.Errorf("the largest load is %.2f of the mean, want 1.6", float64(most)/mean)
	} else {
		t.Logf("the largest load is %.2f of the mean", float64(most)/mean)
	}
	// Those that stay carry what they have carried; in the next poll, by what they know then, what has to be added.
	left := known[10:]
	few, least := 0, 5
	for _, f := range files {
		n := 0
		for _, k := range left {
			if NewShared(rules, k, known).Carries(f) {
				n++
			}
		}
		if least = min(least, n); n < 3 {
			few++
		}
	}
	t.Logf("after ten of 50 left at once: %d of %d files have less than 3 copies, the least %d (chance alone: 4.8%%)", few, len(files), least)
	if few > 80 { // 48 by the hypergeometric distribution, with a deviation of 7
		t.Errorf("%d of %d files have less than 3 copies", few, len(files))
	}
	after, _ := spread(left, rules, files)
	for i, c := range after {
		if c != 5 {
			t.Fatalf("file %d has %d copies after the next poll, want 5", i, c)
		}
	}
	// Nobody who stays drops a file because others leave.
	for _, k := range left[:5] {
		was, is := NewShared(rules, k, known), NewShared(rules, k, left)
		for _, f := range files {
			if was.Carries(f) && !is.Carries(f) {
				t.Fatal("a mirror drops a file because others left")
			}
		}
	}
}

// TestShare: thirty mirrors of a tenth each leave hardly a file out, and each has about a tenth.
func TestShare(t *testing.T) {
	var files []chunk.Hash
	for i := range 2000 {
		files = append(files, chunk.RootOfBlock([]byte{byte(i), byte(i >> 8), 1}))
	}
	_, loads := spread(keys(30), plain(func(r *Rules) { r.Share = Portion{Percent: 10} }), files)
	for _, l := range loads {
		if l < 140 || l > 260 {
			t.Errorf("a share of 10%% is %d of 2000 files", l)
		}
	}
}
