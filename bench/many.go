package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"sharer/chunk"
	"sharer/index"
	"sharer/node"
	"sharer/swarm"
	"sharer/wire"
)

// index fills indexes of ever more contents and looks them up.
func (c *config) index(ctx context.Context, s *sheet) error {
	s.Columns = []string{"contents", "put, s", "file MiB", "open ms", "lookup µs", "anonymous MiB more"}
	for _, n := range []int{1, 1000, 100_000, 1_000_000} {
		if err := c.inFolder(ctx, func(ctx context.Context, dir string) error {
			path := filepath.Join(dir, "index.db")
			begun := time.Now()
			if err := fillIndex(ctx, path, n); err != nil {
				return err
			}
			put := time.Since(begun).Seconds()
			fi, err := os.Stat(path)
			if err != nil {
				return err
			}
			debug.FreeOSMemory()
			before, err := anonymous(os.Getpid())
			if err != nil {
				return err
			}
			begun = time.Now()
			ix, err := index.Open(path, index.Options{})
			if err != nil {
				return err
			}
			opened := time.Since(begun).Seconds() * 1e3
			const lookups = 10_000
			rng := rand.New(rand.NewPCG(1, 2))
			begun = time.Now()
			for range lookups {
				if _, _, err := ix.Lookup(chunk.ID{Kind: chunk.BLAKE3, Hash: numbered(1, rng.IntN(n))}); err != nil {
					return err
				}
			}
			took := time.Since(begun).Seconds() * 1e6 / lookups
			debug.FreeOSMemory()
			after, err := anonymous(os.Getpid())
			if err != nil {
				return err
			}
			s.add(n, put, float64(fi.Size())/mib, opened, took, max(0, after-before))
			return ix.Close()
		}); err != nil {
			return fmt.Errorf("%d contents: %w", n, err)
		}
	}
	return nil
}

func fillIndex(ctx context.Context, path string, n int) error {
	ix, err := index.Open(path, index.Options{})
	if err != nil {
		return err
	}
	const batch = 1000 // as seed puts them
	for i := 0; i < n && err == nil && ctx.Err() == nil; i += batch {
		var es []index.Entry
		for k := i; k < min(n, i+batch); k++ {
			es = append(es, index.Entry{
				Content: index.Content{SHA256: numbered(0, k), BLAKE3: numbered(1, k), Size: 4096},
				Place:   index.Place{Path: fmt.Sprintf("/somewhere/in/a/folder/%d/%d.jpeg", k/1000, k)},
			})
		}
		err = ix.Put(es)
	}
	if err == nil {
		err = ctx.Err()
	}
	if e := ix.Close(); err == nil {
		err = e
	}
	return err
}

// numbered is a hash that looks random, each number's its own.
func numbered(kind byte, k int) (h chunk.Hash) {
	rng := rand.NewPCG(uint64(kind), uint64(k))
	for i := 0; i < len(h); i += 8 {
		binary.LittleEndian.PutUint64(h[i:], rng.Uint64())
	}
	return h
}

// crowdConn is a socket on which strangers ask, each once, for what nobody has; nothing is sent.
type crowdConn struct {
	batch  []wire.Datagram
	asked  int           // so far
	marks  [2]int        // so many were asked when the measuring begins, and when it ends
	at     [2]sample     // then
	apart  time.Duration // spent in here
	done   chan struct{} // at is whole
	closed chan struct{}
}

// sample is a state of this process.
type sample struct {
	when time.Time
	heap uint64 // bytes in use
}

var _ swarm.Conn = (*crowdConn)(nil)

func (c *crowdConn) Readers() []swarm.Reader { return []swarm.Reader{c} }

func (c *crowdConn) LocalAddrs() []netip.AddrPort {
	return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:24254")}
}

func (c *crowdConn) Close() error { close(c.closed); return nil }

func (c *crowdConn) WriteBatch(ds []wire.Datagram) (int, error) { return len(ds), nil }

// ReadBatch returns 64 datagrams, as the real one does at most, until all have come.
func (c *crowdConn) ReadBatch() ([]wire.Datagram, error) {
	begun := time.Now()
	for i, mark := range c.marks {
		if c.asked == mark {
			c.at[i] = now()
		}
	}
	if c.asked == c.marks[1] {
		close(c.done)
		<-c.closed
		return nil, net.ErrClosed
	}
	for i := range c.batch {
		c.asked++
		d := &c.batch[i]
		d.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(c.asked >> 16), byte(c.asked >> 8), byte(c.asked)}), 24254)
		h := numbered(2, c.asked)
		d.Data = wire.AppendArray(d.Data[:0], wire.PleaseSendContent{ID: fmt.Appendf(nil, "blake3/%x", h), Length: 4096})
	}
	if c.asked > c.marks[0] {
		c.apart += time.Since(begun)
	}
	return c.batch, nil
}

// now collects the garbage first.
func now() sample {
	runtime.GC()
	runtime.GC() // what the pools let go in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{time.Now(), m.HeapInuse}
}

// unknown asks a node that seeds nothing, without a socket between.
func (c *config) unknown(ctx context.Context, s *sheet) error {
	s.Columns = []string{"requests", "µs each", "heap MiB more"}
	const before = 64 * 4000 // fill what is bounded, once
	for _, n := range []int{64 * 1600, 64 * 15_700} {
		conn := &crowdConn{batch: make([]wire.Datagram, 64), marks: [2]int{before, before + n}, done: make(chan struct{}), closed: make(chan struct{})}
		asked, err := node.Start(node.Config{Conn: conn})
		if err != nil {
			return err
		}
		select {
		case <-conn.done:
		case <-ctx.Done():
		}
		if err := errors.Join(asked.Close(), ctx.Err()); err != nil {
			return err
		}
		spent := (conn.at[1].when.Sub(conn.at[0].when) - conn.apart).Seconds() * 1e6 / float64(n)
		grown := (float64(conn.at[1].heap) - float64(conn.at[0].heap)) / mib
		s.add(n, spent, grown)
		s.Bars = []bar{{"each of a million", spent, 5, "µs"}, {"growth by a million", grown, 1, "MiB"}}
	}
	return nil
}
