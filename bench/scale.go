package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sharer/chunk"
)

// sizes fetches what is there of contents that are as large as is said, and looks at the memory of the whole process.
func (c *config) sizes(ctx context.Context, s *sheet) error {
	s.Columns = []string{"GiB", "MiB fetched", "MB/s", "CPU-s/GB", "anonymous MiB at most"}
	const part = 128 * mib
	for _, gib := range []int64{1, 10, 100, 1024} {
		size := gib << 30
		middle := size / 2 / mib * mib
		p := pretend(size, chunk.Range{To: part}, chunk.Range{From: middle, To: middle + part}, chunk.Range{From: size - part, To: size})
		var e ended
		if err := c.inFolder(ctx, func(ctx context.Context, dir string) (err error) {
			e, err = c.fetchParts(ctx, dir, p, 3*part)
			return err
		}); err != nil {
			return fmt.Errorf("%d GiB: %w", gib, err)
		}
		s.add(gib, 3*part/mib, 3*part/1e6/e.seconds, e.cpu/(3*part/1e9), e.memory)
		if gib == 100 {
			s.Bars = []bar{{"anonymous memory while fetching of 100 GiB", e.memory, 200, "MiB"}}
		}
	}
	return nil
}

// fetchParts has a get run until want bytes are there, and kills it then.
func (c *config) fetchParts(ctx context.Context, dir string, p *pretended, want int64) (e ended, err error) {
	addrs, stop, err := respond(p, 1)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Its size is pretended: there is no room for it.
	args := c.getArgs(dir, "--min-free", "0", "-o", filepath.Join(dir, "copy"), "--peer", addrs[0].String(), p.link())
	cmd := exec.CommandContext(ctx, c.sharer, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return e, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := int64(0); got < want && err == nil; <-tick.C {
		var m float64
		m, err = anonymous(cmd.Process.Pid) // it fails where the process has ended
		e.memory = max(e.memory, m)
		got = allocated(filepath.Join(dir, "copy.part"))
		err = errors.Join(err, ctx.Err())
	}
	e.seconds = time.Since(begun).Seconds()
	if err == nil {
		e.cpu, err = cpu(cmd.Process.Pid)
	}
	cancel()
	_ = cmd.Wait() // killed: its error says so
	if err != nil {
		return e, fmt.Errorf("%w: %s", err, said.Bytes())
	}
	return e, nil
}

// jobs fetches the same bytes as ever more files at the same time.
func (c *config) jobs(ctx context.Context, s *sheet) error {
	s.Columns = []string{"at the same time", "MB/s", "CPU-s/GB", "anonymous MiB at most"}
	const files = 64
	size := max(c.size/files, 1)
	return c.inFolder(ctx, func(ctx context.Context, dir string) error {
		t := &task{scene: scene{size: size, files: files}, source: filepath.Join(dir, "file")}
		if err := t.fill(); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		from, server, err := c.seedFor(ctx, dir, t.source)
		if err != nil {
			return err
		}
		return during(server, cancel, func() error {
			for _, n := range []int{1, 4, 16, 64} {
				target := filepath.Join(dir, "copy")
				if err := errors.Join(warm(dir, size*files), os.Mkdir(target, 0o700)); err != nil {
					return err
				}
				get := exec.CommandContext(ctx, c.sharer, c.getArgs(dir, "-o", target, "-j", strconv.Itoa(n), "--peer", from.at, "-")...)
				get.Stdin = strings.NewReader(strings.Join(from.files, "\n"))
				e, err := watch(get)
				if err := errors.Join(err, t.check(target), os.RemoveAll(target)); err != nil {
					return err
				}
				gb := float64(size) * files / 1e9
				s.add(n, gb*1e3/e.seconds, e.cpu/gb, e.memory)
			}
			return nil
		})
	})
}

// peers fetches a content from ever more peers that all have it.
func (c *config) peers(ctx context.Context, s *sheet) error {
	s.Columns = []string{"peers", "MB/s", "CPU-s/GB", "anonymous MiB at most"}
	size := max(c.size/4, 8*chunk.BlockSize)
	p := pretend(size, chunk.Range{To: size})
	for _, n := range []int{1, 10, 100, 1000} {
		if err := c.inFolder(ctx, func(ctx context.Context, dir string) (err error) {
			addrs, stop, err := respond(p, n)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
			args := c.getArgs(dir, "-o", filepath.Join(dir, "copy"))
			for _, a := range addrs {
				args = append(args, "--peer", a.String())
			}
			if err := warm(dir, size); err != nil {
				return err
			}
			e, err := watch(exec.CommandContext(ctx, c.sharer, append(args, p.link())...))
			gb := float64(size) / 1e9
			s.add(n, gb*1e3/e.seconds, e.cpu/gb, e.memory)
			return err
		}); err != nil {
			return fmt.Errorf("%d peers: %w", n, err)
		}
	}
	return nil
}

// start seeds folders of ever more small files, and once more the same.
func (c *config) start(ctx context.Context, s *sheet) error {
	s.Columns = []string{"files", "first start s", "second start s", "anonymous MiB then"}
	for _, n := range []int{1000, 10_000, 100_000} {
		if err := c.inFolder(ctx, func(ctx context.Context, dir string) error {
			source := filepath.Join(dir, "files")
			rng := rand.NewChaCha8([32]byte{5})
			for i := range n {
				sub := filepath.Join(source, strconv.Itoa(i/1000))
				if err := errors.Join(os.MkdirAll(sub, 0o700), fill(filepath.Join(sub, name(i)), 100, rng)); err != nil {
					return err
				}
			}
			var took [2]float64
			var memory float64
			for i := range took {
				ctx, cancel := context.WithCancel(ctx)
				begun := time.Now()
				_, server, err := c.seedFor(ctx, dir, source)
				if err != nil {
					cancel()
					return err
				}
				took[i] = time.Since(begun).Seconds()
				if err := during(server, cancel, func() (err error) {
					memory, err = anonymous(server.Process.Pid)
					return err
				}); err != nil {
					return err
				}
			}
			s.add(n, took[0], took[1], memory)
			if n == 100_000 {
				s.Bars = []bar{{"second start with 100,000 files", took[1], 2, "s"}}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
