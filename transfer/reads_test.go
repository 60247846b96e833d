package transfer

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// disk is a content on a disk that takes a while for each read, and of which nothing is in memory if asleep.
type disk struct {
	data   []byte
	takes  time.Duration
	asleep bool
}

var _ interface {
	Content
	nowReader
} = (*disk)(nil)

func (d *disk) Size() int64                   { return int64(len(d.data)) }
func (d *disk) Have(int64, int) []chunk.Range { return nil }
func (d *disk) BLAKE3() (chunk.Hash, bool)    { return chunk.Hash{}, false }

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if d.takes > 0 {
		<-time.After(d.takes)
	}
	if off >= d.Size() {
		return 0, io.EOF
	}
	return copy(p, d.data[off:]), nil
}

func (d *disk) ReadNow(p []byte, off int64) (int, error) {
	if d.asleep {
		return 0, chunk.ErrWouldWait
	}
	return copy(p, d.data[off:]), nil
}

// shelf is a Source of disks.
type shelf map[chunk.ID]*disk

func (s shelf) Find(id chunk.ID) (Content, bool) {
	d, ok := s[id]
	return d, ok
}

// answersSent is a Batch that keeps who was answered when, and with how much.
type answersSent struct {
	mu    sync.Mutex
	begun time.Time
	to    netip.AddrPort
	first map[netip.AddrPort]time.Duration
	n     map[netip.AddrPort]int
}

func (b *answersSent) Open(to netip.AddrPort, _ uint8, _ swarm.Reason) ([]byte, bool) {
	b.to = to
	return []byte("["), true
}
func (b *answersSent) Close(buf []byte, padTo int) int { return b.CloseWith(buf, padTo, nil) }
func (b *answersSent) Flush() error                    { return nil }

func (b *answersSent) CloseWith(_ []byte, _ int, rest []byte) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.first[b.to]; !ok {
		b.first[b.to] = time.Since(b.begun)
	}
	b.n[b.to] += len(rest)
	return len(rest)
}

type noHolders struct{}

func (noHolders) Asked(chunk.ID, netip.AddrPort, time.Time) {}
func (noHolders) Tell(chunk.ID, netip.AddrPort, int, time.Time) []netip.AddrPort {
	return nil
}

// A19: a disk that takes ten seconds for each read holds up nobody who asks for what is in memory, and those who ask for
// what lies on it get all of it; as many peers as there are readers do not hold up one another either.
func TestSlowDiskHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const blocks = 12
		fast, slow := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}, chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{2}}
		source := shelf{fast: {data: make([]byte, blocks*chunk.BlockSize)}, slow: {data: make([]byte, blocks*chunk.BlockSize), takes: 10 * time.Second, asleep: true}}
		out := &answersSent{begun: time.Now(), first: map[netip.AddrPort]time.Duration{}, n: map[netip.AddrPort]int{}}
		u := NewUploads(UploadConfig{Source: source, Holders: noHolders{}, Batch: out})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { u.Run(ctx) })
		ask := func(peer byte, id chunk.ID) netip.AddrPort {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, peer}), 1)
			for b := range int64(blocks) {
				m := wire.PleaseSendContent{ID: []byte(id.String()), Offset: b * chunk.BlockSize, Length: chunk.BlockSize, Raw: 7}
				u.request(wire.Sender{Addr: at, Proven: true}, wire.Element{Name: m.Name(), Payload: m.AppendPayload(nil)})
			}
			return at
		}
		var waits []netip.AddrPort
		for i := range byte(readers) {
			waits = append(waits, ask(i, slow))
		}
		synctest.Wait()
		asks := ask(100, fast)
		synctest.Wait()
		out.mu.Lock()
		if out.n[asks] != blocks*chunk.BlockSize || out.first[asks] != 0 {
			t.Errorf("what is in memory: %d bytes after %v", out.n[asks], out.first[asks])
		}
		out.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		out.mu.Lock()
		for _, at := range waits {
			// Two turns of eleven blocks at most, ten seconds each.
			if out.n[at] != blocks*chunk.BlockSize || out.first[at] != 10*time.Second {
				t.Errorf("%v: %d bytes, the first after %v", at, out.n[at], out.first[at])
			}
		}
		out.mu.Unlock()
		if n := u.Stats().Waited; n != 2*readers {
			t.Errorf("%d reads were waited for", n)
		}
		stop()
		wg.Wait()
	})
}
