package transfer

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// What is put is taken once, in order, with its bytes, and no more than the bounds allow.
func TestInbox(t *testing.T) {
	b := newInbox()
	var l lump
	for round := range 3 {
		for i := range 300 {
			data := bytes.Repeat([]byte{byte(i)}, i)
			if !b.put(&arrival{offset: int64(i)}, data) {
				t.Fatal("no room")
			}
		}
		m := wire.Content{Base64: []byte("QUJD")}
		if room, fits := b.putEncoded(&arrival{offset: 300}, &m, 3); !room || !fits {
			t.Fatal("base64 was not taken")
		}
		for _, bad := range []string{"QUJD!", "QUJDQQ=="} {
			m.Base64 = []byte(bad)
			if room, fits := b.putEncoded(&arrival{offset: 301}, &m, 3); !room || fits {
				t.Errorf("%s was taken", bad)
			}
		}
		<-b.ready
		l = b.take(l)
		if len(l.answers) != 301 {
			t.Fatalf("round %d: %d answers", round, len(l.answers))
		}
		for i, a := range l.answers {
			want := bytes.Repeat([]byte{byte(i)}, i)
			if i == 300 {
				want = []byte("ABC")
			}
			if got := l.bytes[a.begin : a.begin+a.n]; a.offset != int64(i) || !bytes.Equal(got, want) {
				t.Fatalf("round %d, answer %d: at %d, %d bytes", round, i, a.offset, len(got))
			}
		}
	}
	for i := range inboxMost + 1 {
		if got, want := b.put(&arrival{}, nil), i < inboxMost; got != want {
			t.Fatalf("answer %d: %v", i, got)
		}
	}
	b.take(lump{})
	for i := range 2*maxWindow/maxAnswer + 1 {
		if got, want := b.put(&arrival{}, make([]byte, maxAnswer)), (i+1)*maxAnswer <= inboxBytes; got != want {
			t.Fatalf("answer %d of %d bytes: %v", i, maxAnswer, got)
		}
	}
}

// The loop takes everything, however much comes while it is at work: nothing is left there unseen.
func TestInboxLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		rng := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{1, 255, 256, 257, 512, 1000} {
			file, err := chunk.OpenPartial(dir+"/x", chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}, chunk.PartialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			d := newDownload(Config{
				ID: chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}, File: file, Batch: &written{}, Peers: nobody{}, Rand: rng,
				Find: func(int) []netip.AddrPort { return nil },
			}, func() int { return maxWindow })
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			for range n {
				d.inbox.put(&arrival{}, nil)
			}
			d.inbox.signal()
			d.drain() // up to its bound
			d.inbox.put(&arrival{}, nil)
			go func() {
				defer close(ended)
				_ = d.run(ctx)
			}()
			time.Sleep(10 * time.Millisecond) // of virtual time
			synctest.Wait()
			if left := len(d.inbox.lump.answers) + len(d.lump.answers) - d.next; left > 0 || d.stats.Unrequested != int64(n)+1 {
				t.Errorf("%d answers: %d are left, %d were looked at", n, left, d.stats.Unrequested)
			}
			cancel()
			<-ended
			if err := file.Remove(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
