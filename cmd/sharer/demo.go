package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/node"
	"sharer/seed"
)

func newDemo() *command {
	c := newCommand("demo", "", "show two nodes share a folder on this machine")
	c.long = `Start two nodes on 127.0.0.1, let one share a small folder and the other fetch it by the ids
of its files, and compare what arrived. Nothing leaves this machine, nothing is left behind.`
	c.examples = "sharer demo"
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runDemo(ctx, c.options, args, s) }
	return c
}

// demoFiles are the files of the demo: nested, one empty, one of 3 MiB, so that
// blocks, the tree and requests in flight all have something to do.
var demoFiles = []struct {
	path string
	size int
}{
	{"readme.txt", 61},
	{"empty", 0},
	{"photos/one block.jpg", chunk.BlockSize},
	{"photos/2024/summer.jpg", 3*chunk.BlockSize + 1},
	{"films/short.mkv", 3 << 20},
}

// runDemo tells what it does on stdout: here, the telling is the result.
func runDemo(ctx context.Context, o *options, args []string, s *stdio) (err error) {
	if len(args) > 0 {
		return usagef("demo takes no arguments")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "sharer-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{o: o, s: s, dir: dir}
	return d.run(ctx)
}

type demo struct {
	o     *options
	s     *stdio
	dir   string // temporary; removed by runDemo
	files []seed.File
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.s.out, format+"\n", args...) }

func (d *demo) run(ctx context.Context) (err error) {
	shared, fetched := filepath.Join(d.dir, "shared"), filepath.Join(d.dir, "fetched")
	total, err := makeDemoFolder(shared)
	if err != nil {
		return err
	}
	d.say("A folder with %d files, %s, was made.", len(demoFiles), formatSize(total))

	alice, err := d.start("alice", nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alice.Close()) }()
	bob, err := d.start("bob", alice.Addrs())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bob.Close()) }()
	d.say("Two nodes are running: alice on %s, bob on %s. Bob knows alice's address, nothing else.", addresses(alice), addresses(bob))

	if err := d.share(ctx, alice, shared); err != nil {
		return err
	}
	begun := time.Now()
	if err := d.fetch(ctx, bob, shared, fetched); err != nil {
		return err
	}
	took := time.Since(begun)
	if err := compareFolders(shared, fetched); err != nil {
		return err
	}
	d.say("Bob's folder was compared with alice's: %d files, %s, every byte is the same (%.2f s).", len(demoFiles), formatSize(total), took.Seconds())
	return nil
}

// start runs a node that stays on this machine.
func (d *demo) start(name string, peers []netip.AddrPort) (peer, error) {
	p, err := d.s.start(node.Config{
		Listen: []string{"127.0.0.1:0"}, Peers: peers, Isolated: true, StateDir: filepath.Join(d.dir, name), Version: "sharer " + release,
	})
	if err != nil {
		return nil, fmt.Errorf("%s could not start: %w", name, err)
	}
	return p, nil
}

func addresses(p runner) string {
	var out []string
	for _, a := range p.Addrs() {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

// share lets alice offer the folder.
func (d *demo) share(ctx context.Context, alice seeder, folder string) error {
	_, err := alice.Seed(ctx, seed.Options{Paths: []string{folder}}, func(e seed.Event) {
		switch e.Kind {
		case seed.FileDone:
			d.files = append(d.files, e.File)
		case seed.Failed:
			d.say("  %s: %v", e.Path, e.Err)
		}
	})
	if err != nil {
		return err
	}
	if len(d.files) != len(demoFiles) {
		return fmt.Errorf("alice hashed %d files of %d", len(d.files), len(demoFiles))
	}
	d.say("Alice has hashed the files where they are, and answers whoever asks for one of their ids.")
	return nil
}

// fetch lets bob get each file by its id, in turn by blake3 and by sha256, and put
// it at the same place in his folder.
func (d *demo) fetch(ctx context.Context, bob getter, from, to string) error {
	for i, f := range d.files {
		rel, err := filepath.Rel(from, f.Path)
		if err != nil {
			return err
		}
		id := chunk.ID{Kind: chunk.BLAKE3, Hash: f.Content.BLAKE3}
		if i%2 == 1 {
			id = chunk.ID{Kind: chunk.SHA256, Hash: f.Content.SHA256}
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			return err
		}
		got, err := bob.Get(ctx, node.Get{ID: id, Size: -1, Path: target, FindTimeout: 20 * time.Second, StallTimeout: 20 * time.Second})
		if err != nil {
			return &codedError{exitOf(ctx, err), fmt.Errorf("bob could not fetch %s: %w", rel, err)}
		}
		d.say("Bob asked for %s…  %s: %s verified.", id.String()[:16], filepath.ToSlash(rel), formatSize(got.Size))
	}
	return nil
}

// makeDemoFolder writes the files, with bytes that look random but are the same
// each time, and returns how many bytes they are.
func makeDemoFolder(folder string) (total int64, err error) {
	random := rand.NewChaCha8([32]byte([]byte("the same bytes in every demo run")))
	for _, f := range demoFiles {
		path := filepath.Join(folder, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return 0, err
		}
		data := make([]byte, f.size)
		if _, err := random.Read(data); err != nil {
			return 0, err
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			return 0, err
		}
		total += int64(f.size)
	}
	return total, nil
}

// compareFolders compares byte by byte the demo's files in two folders.
func compareFolders(a, b string) error {
	for _, f := range demoFiles {
		rel := filepath.FromSlash(f.path)
		want, err := os.ReadFile(filepath.Join(a, rel))
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(b, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return &codedError{exitIntegrity, fmt.Errorf("%s arrived with other bytes", f.path)}
		}
	}
	return nil
}
