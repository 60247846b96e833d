package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"sharer/chunk"
	"sharer/node"
	"sharer/seed"
)

// latency has a node fetch small contents, one after the other, from another that it has met.
func (c *config) latency(ctx context.Context, s *sheet) error {
	const files = 500
	s.Columns = []string{"contents", "median ms", "9 of 10 within ms", "99 of 100 within ms"}
	return c.inFolder(ctx, func(ctx context.Context, dir string) (err error) {
		t := &task{scene: scene{size: 4096, files: files}, source: filepath.Join(dir, "file")}
		if err := t.fill(); err != nil {
			return err
		}
		up, err := node.Start(node.Config{Listen: []string{"127.0.0.1:0"}, StateDir: filepath.Join(dir, "up"), Isolated: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, up.Close()) }()
		var ids []chunk.ID
		if _, err := up.Seed(ctx, seed.Options{Paths: []string{t.source}}, func(e seed.Event) {
			if e.Kind == seed.FileDone {
				ids = append(ids, chunk.ID{Kind: chunk.BLAKE3, Hash: e.File.Content.BLAKE3})
			}
		}); err != nil {
			return err
		}
		down, err := node.Start(node.Config{Listen: []string{"127.0.0.1:0"}, StateDir: filepath.Join(dir, "down"), Isolated: true, Peers: up.Addrs()})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, down.Close()) }()
		var took []float64
		for i, id := range ids {
			begun := time.Now()
			if _, err := down.Get(ctx, node.Get{ID: id, Size: -1, Path: filepath.Join(dir, name(i)), Peers: up.Addrs()}); err != nil {
				return err
			}
			if i > 0 { // the first one meets the peer
				took = append(took, time.Since(begun).Seconds()*1e3)
			}
		}
		slices.Sort(took)
		at := func(share float64) float64 { return took[int(share*float64(len(took)-1))] }
		s.add(len(took), at(0.5), at(0.9), at(0.99))
		s.Bars = []bar{{"median, from the call to the file under its name", at(0.5), 1, "ms"}}
		return nil
	})
}

// firstByte counts round trips from the first datagram to a peer that was never met to the first byte on standard output.
func (c *config) firstByte(ctx context.Context, s *sheet) error {
	const rtt = 100 * time.Millisecond
	s.Columns = []string{"MiB", "run", "ms from the first datagram", "round trips"}
	return c.inFolder(ctx, func(ctx context.Context, dir string) (err error) {
		t := &task{scene: scene{size: c.size, files: 1, servers: 1}, tools: c.tools, work: dir, source: filepath.Join(dir, "file")}
		if err := t.fill(); err != nil {
			return err
		}
		if t.place, err = (path{mtu: 1500, rtt: rtt, rate: 125e6}).open(ctx, false); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, t.close()) }()
		ctx, cancel := context.WithCancel(ctx)
		sv, err := serveSharer(ctx, t)
		defer func() {
			cancel()
			for _, server := range sv.servers {
				_ = server.Wait() // killed: its error says so
			}
		}()
		if err != nil {
			return err
		}
		var trips []float64
		for run := range c.runs {
			args := sv.fetch(0)
			args[slices.Index(args, t.target(0))] = "-" // to standard output
			took, err := t.first(ctx, args)
			if err := errors.Join(err, os.RemoveAll(t.scratch(0))); err != nil {
				return err
			}
			trips = append(trips, took.Seconds()/rtt.Seconds())
			s.add(c.size/mib, run+1, took.Seconds()*1e3, trips[run])
		}
		s.Bars = []bar{{"median", median(trips), 3, "round trips"}}
		return nil
	})
}

// first runs a command until its first byte of output, and returns how long that took since its first datagram.
func (t *task) first(ctx context.Context, args []string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sent := make(chan time.Time, 1)
	t.heard(func() {
		select {
		case sent <- time.Now():
		default: // not the first
		}
	})
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return 0, err
	}
	_, err = io.ReadFull(out, make([]byte, 1))
	end := time.Now()
	cancel()
	_ = cmd.Wait() // killed: its error says so
	if err != nil {
		return 0, fmt.Errorf("%s: no byte: %w", args[0], err)
	}
	return end.Sub(<-sent), nil
}

// idle looks at a node that seeds a file and has nothing to do.
func (c *config) idle(ctx context.Context, s *sheet) error {
	s.Columns = []string{"files seeded", "anonymous MiB after 10 s"}
	return c.inFolder(ctx, func(ctx context.Context, dir string) error {
		path := filepath.Join(dir, "file")
		if err := fill(path, 64*mib, rand.NewChaCha8([32]byte{4})); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		_, server, err := c.seedFor(ctx, dir, path)
		if err != nil {
			return err
		}
		return during(server, cancel, func() error {
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
			m, err := anonymous(server.Process.Pid)
			s.add(1, m)
			s.Bars = []bar{{"anonymous memory", m, 40, "MiB"}}
			return err
		})
	})
}
