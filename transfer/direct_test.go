package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// fastPeer answers what a download asks for as a socket's goroutine would: while the download's own goroutines are at work. It is the
// Batch of the download.
type fastPeer struct {
	ds         *Downloads
	at         netip.AddrPort
	data, tree []byte
	lies       bool // one block in 64 is wrong

	queue chan wire.PleaseSendContent
}

func (p *fastPeer) Open(netip.AddrPort, uint8, swarm.Reason) ([]byte, bool) { return []byte("["), true }
func (p *fastPeer) CloseWith(buf []byte, pad int, _ []byte) int             { return p.Close(buf, pad) }
func (p *fastPeer) Flush() error                                            { return nil }

func (p *fastPeer) Close(buf []byte, _ int) int {
	p.queue <- questionsIn(buf)[0]
	return len(buf)
}

// run answers until the queue is closed.
func (p *fastPeer) run() {
	for m := range p.queue {
		of, kind := bytesOf(m, p.data, p.tree)
		end := min(m.Offset+m.Length, int64(len(of)))
		all := bytes.Clone(of[m.Offset:end])
		if p.lies && kind == chunk.BLAKE3 && m.Offset>>12%64 == 1 {
			all[0] ^= 1
		}
		from := wire.Sender{Addr: p.at, Proven: true, At: time.Now()}
		c := wire.Content{For: m.Raw, Offset: m.Offset, EOF: int64(len(of))}
		if m.Raw == 0 {
			answerPlain(p.ds, from, m.ID, c, all)
			continue
		}
		each := int(m.Each)
		if each == 0 {
			each = max(len(all), 1)
		}
		c.Raw = min(each, len(all))
		from.Size = c.Raw + 100
		p.ds.rawContent(from, c, all[:c.Raw])
		c.EOF = -1
		var parts [][]byte
		for all = all[c.Raw:]; len(all) >= each; all = all[each:] {
			parts = append(parts, all[:each])
		}
		if len(parts) > 0 {
			p.ds.Sequel(from, c, parts)
		}
		if len(all) > 0 {
			c.Offset, c.Raw = end-int64(len(all)), len(all)
			p.ds.rawContent(from, c, all)
		}
	}
}

// bytesOf is what a question is about, of a content and its tree, and by which kind of id.
func bytesOf(m wire.PleaseSendContent, data, tree []byte) ([]byte, chunk.Kind) {
	id, err := chunk.ParseID(m.ID)
	if err != nil {
		panic(err)
	}
	if id.Kind == chunk.BLAKE3Tree {
		return tree, id.Kind
	}
	return data, id.Kind
}

// answerPlain answers with a block of what there is, in base64.
func answerPlain(ds *Downloads, from wire.Sender, id []byte, c wire.Content, all []byte) {
	c.ID, c.Data = id, all[:min(len(all), chunk.BlockSize)]
	es, _, err := wire.Split(nil, append(wire.AppendMessage([]byte("["), &c), ']'))
	if err != nil {
		panic(err)
	}
	ds.content(from, es[0])
}

// The receive path and the writer are the loop of a fast download in turns with its own goroutine, in runs and in units. What arrives is
// the content, and what was wrong is not written.
func TestDirect(t *testing.T) {
	const size = 64<<20 + 12345
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	tree := memoryFile{}
	sums, err := chunk.Sum(t.Context(), bytes.NewReader(data), size, &tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]string{"runs": "127.0.0.1:9", "units": "192.0.2.1:9", "lies": "192.0.2.1:9"} {
		t.Run(name, func(t *testing.T) {
			ds := NewDownloads(4 << 20)
			p := &fastPeer{ds: ds, at: netip.MustParseAddrPort(at), data: data, tree: tree.bytes, lies: name == "lies", queue: make(chan wire.PleaseSendContent, 1<<16)}
			target := t.TempDir() + "/x"
			id := chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}
			file, err := chunk.OpenPartial(target, id, chunk.PartialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			answers := make(chan struct{})
			go func() {
				defer close(answers)
				p.run()
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun := time.Now()
			stats, err := ds.Run(ctx, Config{
				ID: id, File: file, Batch: p, StallTimeout: 30 * time.Second, Peers: endsWithLiar{cancel: cancel}, Rand: rand.New(rand.NewPCG(1, 2)),
				Find: func(int) []netip.AddrPort { return []netip.AddrPort{p.at} },
			})
			close(p.queue)
			<-answers
			if p.lies {
				if stats.Excluded != 1 || stats.Bad < strikes || !errors.Is(err, context.Canceled) {
					t.Errorf("a peer that lies: %v, %+v", err, stats)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v, %+v", err, stats)
			}
			got, err := os.ReadFile(chunk.PartName(target))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("another content, %v", err)
			}
			// Only what is fast is taken so, and on a machine that is very busy nothing is.
			if rate := size / time.Since(begun).Seconds(); stats.Direct < 100 && rate > 3*fastFrom {
				t.Errorf("%d answers were taken where they were read, of %d requests", stats.Direct, stats.Requests)
			}
			t.Logf("%+v", stats)
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// endsWithLiar ends the download with the only peer that it has.
type endsWithLiar struct {
	nobody
	cancel context.CancelFunc
}

func (e endsWithLiar) Punish(netip.AddrPort) { e.cancel() }

// memoryFile is a tree file in memory.
type memoryFile struct{ bytes []byte }

func (m *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.bytes) {
		m.bytes = append(m.bytes, make([]byte, need-len(m.bytes))...)
	}
	return copy(m.bytes[off:], p), nil
}

var _ io.WriterAt = (*memoryFile)(nil)
