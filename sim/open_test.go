package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// open opens a content at a node, and fails the test if that does not work.
func open(t *testing.T, h *Host, r node.OpenRequest) *node.Reader {
	t.Helper()
	rd, err := h.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return rd
}

// readAt reads n bytes from off and compares them.
func readAt(t *testing.T, rd *node.Reader, c *Content, off int64, n int) {
	t.Helper()
	if _, err := rd.Seek(off, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(rd, got); err != nil {
		t.Fatalf("read %d bytes at %d: %v", n, off, err)
	}
	if !bytes.Equal(got, c.Data[off:off+int64(n)]) {
		t.Fatalf("%d bytes at %d are other ones", n, off)
	}
}

// W8: what a reader jumps to comes first, while the rest arrives at 20 Mbit/s: within two round trips, and the 100 ms that the line's own queue
// holds right after the beginning.
func TestReadsWhereItJumpsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 2_500_000, Queue: 250_000}})
		defer w.Close()
		s := w.Seeder(node.Config{}, size(24<<20, 256<<20))
		c := s.Contents[0]
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: s.peers()})
		rd := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
		for _, part := range []float64{0, 0.9, 0.5, 0.2} {
			off := int64(part * float64(c.Size()))
			began := time.Now()
			readAt(t, rd, c, off, 1)
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("the first byte at %.0f %% took %v", 100*part, took)
			}
			readAt(t, rd, c, off, 256<<10)
		}
		if l := n.Stats().Downloads; len(l) != 1 || l[0].Done > c.Size()/2 {
			t.Errorf("it did not read while the rest was arriving: %+v", l)
		}
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
		// Nobody wants it any more.
		time.Sleep(7 * time.Second)
		if l := n.Stats().Downloads; len(l) != 0 {
			t.Errorf("a download goes on that nobody reads: %+v", l)
		}
		rd = open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
		readAt(t, rd, c, 0, int(c.Size())) // from what came before on
		if err := rd.Whole(t.Context()); err != nil || rd.File() == nil {
			t.Errorf("all is there, and: %v, %v", err, rd.File())
		}
		readAt(t, rd, c, 1, 100)
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A content that somebody watches is wanted as a file too: it is not fetched twice, and arrives though nobody watches it any more.
func TestGetsWhatIsBeingRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 1_000_000, Queue: 100_000}})
		defer w.Close()
		s := w.Seeder(node.Config{}, 8<<20)
		c := s.Contents[0]
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: s.peers()})
		rd := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
		readAt(t, rd, c, 0, 1<<20)
		looks := 0
		type ended struct {
			got node.Got
			err error
		}
		done := make(chan ended, 2)
		for _, name := range []string{"film", "copy"} {
			go func() {
				got, err := n.Get(t.Context(), node.Get{ID: c.BLAKE3(), Size: -1, Path: w.Path(name), Progress: func(p node.Progress) {
					if name == "film" && p.State == node.Downloading {
						looks++
					}
				}})
				done <- ended{got, err}
			}()
		}
		time.Sleep(time.Second)
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if e := <-done; e.err != nil || e.got.Size != c.Size() || e.got.Fetched != 0 {
				t.Errorf("%+v: %v", e.got, e.err)
			} else if data, err := os.ReadFile(e.got.Path); err != nil || !bytes.Equal(data, c.Data) {
				t.Errorf("%s is something else: %v", e.got.Path, err)
			}
		}
		if looks == 0 {
			t.Error("who waits is not told how far it is")
		}
	})
}

// What a part of a large file costs beside its own bytes: two paths, a piece of leaves, and now and then one of the pieces that others need.
func TestPartCostsLittleOfTheTree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 250_000, Queue: 50_000}})
		defer w.Close()
		c, err := randomContent(w.Rand(), size(64<<20, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		w.Know(c)
		s := w.Evil(Deployed(c)...)
		tree, asked := 0, 0
		w.OnPacket(func(p netsim.Packet) {
			if p.Outcome == netsim.Sent && p.From == s.At && bytes.HasPrefix(p.Data, []byte(`[{"Content":{"id":"blake3_tree_v2`)) {
				tree += len(p.Data) + wire.HeaderBytes
				asked++
			}
		})
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{s.At}})
		rd := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
		readAt(t, rd, c, c.Size()/3, 64<<10)
		w.Rest() // and all is counted
		t.Logf("%d bytes of the tree in %d answers", tree, asked)
		if tree > 35_000 {
			t.Errorf("64 KiB of content cost %d bytes of the tree in %d answers", tree, asked)
		}
		if err := rd.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What is too long for a page of a manifest is given up when its size is proven, not when as much as a page has has come.
func TestPageThatIsTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 20 * time.Millisecond, Rate: 2_500_000, Queue: 250_000}})
		defer w.Close()
		s := w.Seeder(node.Config{}, 8*folder.MaxPage)
		n := w.Node(node.Config{Peers: s.peers()})
		if _, err := n.FetchPage(t.Context(), node.Get{ID: s.Contents[0].BLAKE3()}); !errors.Is(err, folder.ErrFormat) {
			t.Errorf("a page of %d bytes: %v", s.Contents[0].Size(), err)
		}
		time.Sleep(time.Second) // what is under way
		w.Rest()
		came := w.Carried(s.At, n.At).Came
		t.Logf("%d bytes came", came)
		if came > folder.MaxPage/2 {
			t.Errorf("%d bytes came of what is too long", came)
		}
	})
}

func (h *Host) peers() (p []netip.AddrPort) { return []netip.AddrPort{h.At} }

// Several readers share one download, which stops when the last has left; a context ends a wait.
func TestReadersShareADownload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 5 * time.Millisecond, Rate: 1_000_000, Queue: 100_000}})
		defer w.Close()
		s := w.Seeder(node.Config{}, 4<<20)
		c := s.Contents[0]
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: s.peers()})
		a := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Size: -1})
		b := open(t, n, node.OpenRequest{ID: c.BLAKE3(), Also: c.SHA256(), Size: -1})
		if got := n.Incoming(); len(got) != 1 || got[0].Readers != 2 || !got[0].Stored {
			t.Errorf("arrivals: %+v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone, err := n.Open(ctx, node.OpenRequest{ID: c.SHA256(), Also: c.BLAKE3(), Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gone.Seek(3<<20, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a reader that is gone: %v", err)
		}
		if err := errors.Join(gone.Close(), a.Close()); err != nil {
			t.Fatal(err)
		}
		readAt(t, b, c, 0, int(c.Size()))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		w.Rest()
		held := open(t, n, node.OpenRequest{ID: c.SHA256(), Size: -1, Held: true})
		readAt(t, held, c, 0, int(c.Size()))
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		// It is shared from where it is now, also after a restart.
		if err := errors.Join(s.Close(), n.Close()); err != nil {
			t.Fatal(err)
		}
		n = w.Node(node.Config{StateDir: n.config.StateDir})
		if got, ok := w.Node(node.Config{Peers: n.peers()}).Fetch(c.SHA256()); !ok {
			t.Errorf("what is in the store is not shared: %+v", got)
		}
		if err := n.Discard(c.BLAKE3()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Open(t.Context(), node.OpenRequest{ID: c.SHA256(), Held: true}); !errors.Is(err, node.ErrNotHeld) {
			t.Errorf("what was discarded is read: %v", err)
		}
	})
}

// What nobody has is said to be so in time.
func TestOpenWhatNobodyHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: plain})
		defer w.Close()
		s := w.Seeder(node.Config{}, 100)
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: s.peers()})
		id := s.Contents[0].BLAKE3()
		id.Hash[0]++
		began := time.Now()
		_, err := n.Open(t.Context(), node.OpenRequest{ID: id, Size: -1, FindTimeout: 5 * time.Second})
		if took := time.Since(began); !errors.Is(err, node.ErrNotFound) || took > 6*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if _, err := w.Node(node.Config{}).Open(t.Context(), node.OpenRequest{ID: id}); !errors.Is(err, node.ErrNoState) {
			t.Errorf("a node without a store: %v", err)
		}
	})
}

// By sha256 from a node that knows no other hash nothing is verified before the end: readers are told so, get it at once all
// the same, and what is read after the end is verified. A download for a file of the user's is read the same way.
func TestReadsWhatIsNotVerifiedYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 5 * time.Millisecond, Rate: 1_000_000, Queue: 100_000}})
		defer w.Close()
		c, err := randomContent(w.Rand(), 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		w.Know(c)
		old := w.Evil(Truth(c), Only(func(q Ask) bool { return q.ID.Kind == chunk.SHA256 }))
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{old.At}})
		rd := open(t, n, node.OpenRequest{ID: c.SHA256(), Size: -1})
		readAt(t, rd, c, 3<<20, 4096)
		if rd.Verified() || n.Incoming()[0].Progress.Done >= c.Size() {
			t.Errorf("verified %v, %+v", rd.Verified(), n.Incoming())
		}
		if err := rd.Whole(t.Context()); err != nil || !rd.Verified() {
			t.Errorf("the whole: %v, verified %v", err, rd.Verified())
		}
		readAt(t, rd, c, 0, int(c.Size()))
		if err := errors.Join(rd.Close(), n.Discard(c.SHA256())); err != nil {
			t.Fatal(err)
		}

		got := make(chan error)
		go func() {
			_, err := n.Get(t.Context(), node.Get{ID: c.SHA256(), Size: -1, Path: w.Path("got")})
			got <- err
		}()
		w.Rest()
		watch := open(t, n, node.OpenRequest{ID: c.SHA256(), Size: -1})
		readAt(t, watch, c, 2<<20, 4096)
		if in := n.Incoming(); len(in) != 1 || in[0].Stored {
			t.Errorf("%+v", in)
		}
		if err := errors.Join(watch.Close(), <-got); err != nil {
			t.Error(err)
		}
	})
}

// A peer that names the BLAKE3 of something else for a sha256 has all of that pass for verified blocks. Readers are not told
// that it is verified, so that nothing of it runs.
func TestReadsWhatAPeerTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := New(t, Options{Link: netsim.Link{Delay: 5 * time.Millisecond, Rate: 1_000_000, Queue: 100_000}})
		defer w.Close()
		wanted, err := randomContent(w.Rand(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		other, err := randomContent(w.Rand(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		w.Know(other)
		told := []byte(other.BLAKE3().Hash.String())
		liar := w.Evil(Truth(other), Behaviour{Name: "another BLAKE3", Answer: func(_ *Evil, q Ask, as []Answer) []Answer {
			if q.ID != wanted.SHA256() {
				return as
			}
			data := other.Data[min(q.Offset, other.Size()):min(q.Offset+1000, other.Size())]
			return []Answer{{Content: wire.Content{ID: []byte(q.ID.String()), Offset: q.Offset, Data: data, EOF: other.Size(), BLAKE3: told}}}
		}})
		n := w.Node(node.Config{StateDir: w.Path("state"), Peers: []netip.AddrPort{liar.At}})
		rd := open(t, n, node.OpenRequest{ID: wanted.SHA256(), Size: -1, FindTimeout: 10 * time.Second})
		var head [4096]byte
		if _, err := io.ReadFull(rd, head[:]); err != nil || !bytes.Equal(head[:], other.Data[:len(head)]) {
			t.Fatalf("the lie is not read: %v", err)
		}
		if rd.Verified() {
			t.Error("what a peer told passes for verified")
		}
		if err := rd.Whole(t.Context()); err == nil || rd.Verified() {
			t.Errorf("the whole: %v, verified %v", err, rd.Verified())
		}
		if err := rd.Close(); err != nil {
			t.Error(err)
		}
	})
}
