package sim

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/wire"
)

// Wild answers what is asked for raw with whatever comes to its mind, and then what the behaviours behind it say: other offsets and
// lengths, many datagrams for one, other handles, sizes and ranges, the right bytes and others, now and then in base64, or none.
func Wild(contents ...*Content) Behaviour {
	return Behaviour{Name: "wild", Heard: func(e *Evil, d wire.Datagram) bool {
		es, _, err := wire.Split(nil, d.Data)
		if err != nil {
			return false
		}
		for _, el := range es {
			q, err := wire.ParsePleaseSendContent(el.Payload)
			if el.Name != "PleaseSendContent" || err != nil || q.Raw == 0 {
				continue
			}
			for range e.Draw(4) {
				e.Note("wild")
				e.rawLocked(d.Addr, e.wild(d.Addr, q, contents))
			}
		}
		return e.Draw(8) == 0
	}}
}

// wild is one such answer.
func (e *Evil) wild(to netip.AddrPort, q wire.PleaseSendContent, contents []*Content) []byte {
	one := func(of ...int64) int64 { return of[e.Draw(len(of))] }
	each := max(q.Each, 1)
	m := wire.Content{
		For:    q.Raw ^ wire.Handle(one(0, 0, 0, 0, 1, 2, 3, 1<<16, 1<<31)),
		Offset: max(0, q.Offset+one(0, 0, 0, 0, each, 2*each, -each, 1, 4096, -4096, 832, 1<<62, math.MaxInt64-wire.MaxDatagram-q.Offset)),
		EOF:    one(-1, -1, -1, -1, -1, 0, 1, 1<<50, math.MaxInt64),
	}
	size := int64(0)
	for _, c := range contents {
		for _, kind := range []chunk.Kind{chunk.BLAKE3, chunk.SHA256, chunk.BLAKE3Tree} {
			if id := c.ID(kind); id.String() == string(q.ID) {
				data := c.Bytes(kind)
				size = int64(len(data))
				m.Data = data[min(size, m.Offset):]
			}
		}
	}
	if e.Draw(4) == 0 {
		m.EOF = size + one(0, 0, 0, 0, 1, -1)
	}
	if e.Draw(6) == 0 {
		m.Have = []wire.Range{{From: one(0, 4096, size-1, math.MaxInt64-1), To: one(4096, size, math.MaxInt64)}}
	}
	n := max(0, min(one(q.Length, q.Length, q.Length, each, each, 2*each, 0, 1, each+1, each-1, q.Length+1, q.Length-1, 4096, 8192, 40_960, 60_000), 60_000))
	data := make([]byte, n)
	copy(data, m.Data)
	if n > 0 && e.Draw(10) == 0 {
		data[e.Draw(len(data))] ^= 1
	}
	m.Data = data
	switch e.Draw(8) {
	case 0: // in base64
		m.For, m.ID, m.Data = 0, q.ID, data[:min(n, 40_000)]
		return e.array(to, m)
	case 1:
		return e.array(to, wire.MaybeTheyHaveSome{ID: q.ID, Have: m.Have})
	}
	return append(e.array(to, m), data...)
}

// Asking asks others, for as long as it lives, for whatever of contents a datagram can ask for.
func Asking(to func() []netip.AddrPort, contents ...*Content) Behaviour {
	return Behaviour{Name: "asking", Run: func(e *Evil) {
		for e.Sleep(time.Millisecond) {
			e.mu.Lock()
			one := func(of ...int64) int64 { return of[e.Draw(len(of))] }
			for _, at := range to() {
				i, k := e.Draw(len(contents)), e.Draw(3)
				c, kind := contents[i], []chunk.Kind{chunk.BLAKE3, chunk.SHA256, chunk.BLAKE3Tree}[k]
				size := int64(len(c.Bytes(kind)))
				e.Note("asking")
				e.sendLocked(at, wire.PleaseSendContent{
					ID: []byte(c.ID(kind).String()), Offset: max(0, one(0, 4096, 8192, size-1, size, size+1, 1<<50, 1<<62)),
					Length: one(1, 64, 832, 4096, 4097, 40_960, 40_961, math.MaxInt64), Raw: wire.Handle(one(0, int64(3*i+k+1))), Each: one(0, 1, 511, 512, 1205, 4096, 40_959, math.MaxInt64),
				}, wire.PleaseAlwaysReturnThisMessage{Value: e.own(at)})
			}
			e.mu.Unlock()
		}
	}}
}

// Beside a peer whose answers are anything a datagram can say, an honest one is enough, for a large file as for a folder of small ones, over
// a network as on this machine. It is not taken for the one who lied, and nothing panics.
func TestWildAnswers(t *testing.T) {
	sizes := make([]int, 100)
	for i := range sizes {
		sizes[i] = 1 + i*i*7%250_000
	}
	sizes[99] = 6_000_003
	for name, local := range map[string]bool{"far": false, "near": true} {
		runs := size(2, 40)
		if testing.Short() {
			runs = 1
		}
		for run := range runs {
			t.Run(fmt.Sprint(name, run), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := New(t, Options{Seed: uint64(run + 1), Link: netsim.Link{Delay: 5 * time.Millisecond, Rate: 25e6, Queue: 1 << 20}})
					defer w.Close()
					at := func(port uint16) []netip.AddrPort {
						if !local {
							return []netip.AddrPort{w.Addr()}
						}
						return []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}
					}
					var contents []*Content
					for _, n := range sizes {
						c, err := randomContent(w.Rand(), n)
						if err != nil {
							t.Fatal(err)
						}
						contents = append(contents, c)
					}
					w.Know(contents...)
					s := w.Node(node.Config{StateDir: w.Path("state")}, at(1000)...)
					s.SeedContents(contents...)
					evil := w.EvilAt(at(2000)[0], Wild(contents...), Raw(), Truth(contents...))
					asked := []netip.AddrPort{s.At}
					asker := w.EvilAt(at(2001)[0], Asking(func() []netip.AddrPort { return asked }, contents...))
					n := w.Node(node.Config{Peers: []netip.AddrPort{evil.At, s.At}}, at(3000)...)
					asker.mu.Lock()
					asked = append(asked, n.At)
					asker.mu.Unlock()
					for _, a := range []netip.AddrPort{evil.At, s.At} {
						_, _ = n.Ping(t.Context(), a)
					}
					g := node.GetFolder{Dir: t.TempDir(), Done: func(f node.FolderFile) {
						if f.Err != nil {
							t.Error(f.Err)
						}
					}}
					for i, c := range contents {
						g.Files = append(g.Files, folder.File{Path: fmt.Sprint(1000 + i), Size: c.Size(), BLAKE3: c.BLAKE3().Hash, SHA256: c.SHA256().Hash})
					}
					start := time.Now()
					if err := n.GetFolder(t.Context(), g); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(start); took > 30*time.Second {
						t.Errorf("it took %v", took)
					} else {
						t.Logf("it took %v, with %d wild answers and %d questions", took, evil.Count("wild"), asker.Count("asking"))
					}
					for i, f := range g.Files {
						if data, err := os.ReadFile(filepath.Join(g.Dir, f.Path)); err != nil || !bytes.Equal(data, contents[i].Data) {
							t.Fatalf("%s is another content (%v)", f.Path, err)
						}
					}
					if n.Banned(s.At) {
						t.Error("the honest peer is banned")
					}
				})
			})
		}
	}
}
