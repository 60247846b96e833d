package transfer

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sharer/chunk"
)

// gated is a file system in memory that writes when it is let.
type gated struct {
	chunk.InMemory
	let chan struct{}
}

type gatedFile struct {
	chunk.File
	let chan struct{}
}

func (g gated) Open(name string) (chunk.File, error) {
	f, err := g.InMemory.Open(name)
	return gatedFile{f, g.let}, err
}

func (f gatedFile) WriteAt(p []byte, off int64) (int, error) {
	<-f.let
	return f.File.WriteAt(p, off)
}

// By sha256, when all starts over with another peer, what the writer has not written yet of the one before it is not written any more: it would count as held, and
// the other one would have the blame.
func TestNothingOldIsWritten(t *testing.T) {
	const stripes = 40
	id := chunk.ID{Kind: chunk.SHA256, Hash: chunk.Hash{1}}
	let := make(chan struct{})
	file, err := chunk.OpenPartial(t.TempDir()+"/x", id, chunk.PartialOptions{FS: gated{chunk.InMemory{Max: 1 << 30}, let}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d := newDownload(Config{ID: id, File: file, Batch: &questions{}, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddrPort("192.0.2.2:5")})
	for _, s := range d.sources {
		s.answers, s.claim = true, stripes*stripeBytes
	}
	d.setSize(stripes*stripeBytes, now)
	block := make([]byte, chunk.BlockSize)
	for b := range int64(stripes * stripeBlocks) {
		d.pick.open(b/stripeBlocks, maxStripes)
		if st := d.pick.arrived(b, block, 0, true); st.full() {
			d.handIfReady(st)
		}
	}
	wrote, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(wrote)
		d.writeLoop(context.Background())
	}()
	let <- struct{}{}
	go func() {
		defer close(over)
		d.solo(now)
	}()
	for waits := true; waits; {
		select {
		case let <- struct{}{}:
		case <-over:
			waits = false
		}
	}
	close(let)
	close(d.jobs)
	<-wrote
	if n := file.DoneBytes(); n > 0 {
		t.Errorf("%d bytes are held of a peer that is not asked any more", n)
	}
	if err := file.Remove(); err != nil {
		t.Error(err)
	}
}

// A size that is refused while blocks are checked leaves nothing that is waited for in the end.
func TestRefusedSizeWhileChecking(t *testing.T) {
	id := chunk.ID{Kind: chunk.SHA256, Hash: chunk.Hash{1}}
	file, err := chunk.OpenPartial(t.TempDir()+"/x", id, chunk.PartialOptions{FS: chunk.InMemory{Max: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d := newDownload(Config{ID: id, File: file, Batch: &questions{}, Peers: nobody{}, Rand: rand.New(rand.NewPCG(1, 2))}, func() int { return maxWindow })
	d.addSources([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5")})
	d.setSize(stripeBytes, now)
	d.pick.open(0, maxStripes)
	d.handIfReady(d.pick.arrived(0, make([]byte, chunk.BlockSize), 0, true))
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		d.writeLoop(context.Background())
	}()
	d.setSize(0, now) // that of nothing, which this is not
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		d.settle()
	}()
	select {
	case <-settled:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for a result that was taken")
	}
	close(d.jobs)
	<-wrote
	if err := file.Remove(); err != nil {
		t.Error(err)
	}
}
