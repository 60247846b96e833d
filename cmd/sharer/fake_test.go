package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sharer/catalog"
	"sharer/chunk"
	"sharer/daemon"
	"sharer/folder"
	"sharer/identity"
	"sharer/index"
	"sharer/node"
	"sharer/seed"
)

var _ peer = (*fakeNode)(nil)

// fakeNet is a swarm in memory. Its nodes misbehave on demand.
type fakeNet struct {
	mu       sync.Mutex
	content  map[chunk.ID][]byte
	fails    map[chunk.ID]error // what Get answers
	hangs    map[chunk.ID]bool  // Get waits for the end of its context
	total    int64              // what a Get says of the size; 0: the truth
	startErr error
	pingErr  error
	chatErr  error
	rtts     []time.Duration // of the pings to come; then 1 ms
	notes    []string
	advice   []string
	offers   []catalog.Offer
	asked    node.Asked
	inbox    []node.Chat // shown to whoever listens
	closed   int

	configs []node.Config
	gets    []node.Get
	said    []string

	places     map[identity.PublicKey]identity.Place
	nearest    []netip.AddrPort
	records    []identity.Record
	olders     []identity.Record // the versions before those
	resolveErr error

	running int
	most    int           // Gets at the same time
	reached chan struct{} // gets a value whenever a Get hangs or a seed is ready to serve
}

func newFakeNet() *fakeNet {
	return &fakeNet{content: map[chunk.ID][]byte{}, fails: map[chunk.ID]error{}, hangs: map[chunk.ID]bool{}, reached: make(chan struct{}, 100)}
}

// add puts content into the swarm and returns its two ids.
func (f *fakeNet) add(t testing.TB, data string) (b3, sha chunk.ID) {
	t.Helper()
	sums := sumOf(t, []byte(data))
	b3, sha = chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}, chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}
	f.content[b3], f.content[sha] = []byte(data), []byte(data)
	return b3, sha
}

func sumOf(t testing.TB, data []byte) chunk.Sums {
	t.Helper()
	sums, err := chunk.Sum(context.Background(), bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func (f *fakeNet) open(c daemon.Config) (peer, error) { return f.start(c.Node) }

func (f *fakeNet) start(c node.Config) (peer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.configs = append(f.configs, c)
	if f.startErr != nil {
		return nil, f.startErr
	}
	return &fakeNode{net: f}, nil
}

type fakeNode struct{ net *fakeNet }

func (n *fakeNode) Close() error {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.net.closed++
	return nil
}

func (n *fakeNode) Addrs() []netip.AddrPort {
	return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:40001")}
}

func (n *fakeNode) Recommend(id chunk.ID, size int64) {
	n.net.advice = append(n.net.advice, fmt.Sprint(id, " ", size))
}

func (n *fakeNode) Offers(ctx context.Context, only []netip.AddrPort) ([]catalog.Offer, node.Asked, error) {
	return n.net.offers, n.net.asked, nil
}

func (n *fakeNode) Notes() []string { return n.net.notes }

// Seed takes all regular files; one whose name begins with bad cannot be read.
func (n *fakeNode) Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error) {
	if n.net.hangs[chunk.ID{}] {
		n.net.reached <- struct{}{}
		<-ctx.Done()
		return seed.Report{}, ctx.Err()
	}
	for _, p := range o.Paths {
		var files []folder.File
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir():
				return err
			case strings.HasPrefix(d.Name(), "bad"):
				emit(failedEvent(path, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}))
				return nil
			case strings.HasPrefix(d.Name(), "."):
				emit(skippedEvent(path, "hidden"))
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sums, err := chunk.Sum(ctx, bytes.NewReader(data), int64(len(data)), nil, nil)
			if err != nil {
				return err
			}
			n.net.content[chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}] = data
			n.net.content[chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}] = data
			rel, err := filepath.Rel(p, path)
			if err != nil {
				return err
			}
			if folder.CheckPath(filepath.ToSlash(rel)) == nil {
				files = append(files, folder.File{Path: filepath.ToSlash(rel), Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256})
			}
			emit(doneEvent(seed.File{Path: path, Rel: rel, Root: p, Content: index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: sums.Size}}))
			return nil
		})
		if err != nil {
			return seed.Report{}, err
		}
		if err := n.offerFolder(p, files, emit); err != nil {
			return seed.Report{}, err
		}
	}
	n.net.reached <- struct{}{}
	return seed.Report{}, nil
}

func (n *fakeNode) Get(ctx context.Context, g node.Get) (node.Got, error) {
	f := n.net
	f.mu.Lock()
	f.gets = append(f.gets, g)
	f.running++
	f.most = max(f.most, f.running)
	data, known := f.content[g.ID]
	fail, hang := f.fails[g.ID], f.hangs[g.ID]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	if g.Progress != nil {
		g.Progress(node.Progress{State: node.LookingForPeers, Total: -1})
	}
	if hang {
		f.reached <- struct{}{}
		<-ctx.Done()
		return node.Got{}, ctx.Err()
	}
	if fail != nil {
		return node.Got{}, fail
	}
	if !known {
		return node.Got{}, &node.NotFoundError{ID: g.ID, Asked: 3, After: g.FindTimeout}
	}
	have, err := os.ReadFile(g.Path)
	switch {
	case err == nil && bytes.Equal(have, data):
		return node.Got{Path: g.Path, Size: int64(len(data)), Existed: true}, nil
	case err == nil && !g.Force:
		return node.Got{}, node.ErrExists
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return node.Got{}, err
	}
	if g.Progress != nil {
		g.Progress(node.Progress{State: node.Downloading, Total: max(f.total, int64(len(data)))})
		if ctx.Err() != nil {
			return node.Got{}, ctx.Err()
		}
		g.Progress(node.Progress{State: node.Downloading, Done: int64(len(data)), Total: int64(len(data)), Peers: 2, Sources: 1})
	}
	if err := os.WriteFile(g.Path, data, 0o666); err != nil {
		return node.Got{}, err
	}
	if g.Out != nil {
		if _, err := g.Out.Write(data); err != nil {
			return node.Got{}, err
		}
	}
	return node.Got{Path: g.Path, Size: int64(len(data)), Fetched: int64(len(data)), Duration: 1500 * time.Millisecond, Asked: 2}, nil
}

// offerFolder offers a folder as one id, as a daemon does.
func (n *fakeNode) offerFolder(root string, files []folder.File, emit func(seed.Event)) error {
	if fi, err := os.Stat(root); err != nil || !fi.IsDir() || len(files) == 0 {
		return err
	}
	f, err := folder.New(filepath.Base(root), files)
	if err != nil {
		return err
	}
	pages, err := f.Pages(context.Background())
	if err != nil {
		return err
	}
	for _, p := range pages {
		n.net.content[chunk.ID{Kind: chunk.BLAKE3, Hash: p.Sums.BLAKE3}] = p.Data
	}
	emit(seed.Event{Kind: seed.FolderDone, Folder: seed.Folder{Root: root, Name: f.Name, Sums: pages[0].Sums, Files: len(f.Files), Bytes: f.Size()}})
	return nil
}

func (n *fakeNode) ReadFolder(ctx context.Context, g node.Get) (folder.Folder, error) {
	return folder.Read(ctx, g.ID.Hash, func(_ context.Context, h chunk.Hash) ([]byte, error) {
		data, ok := n.net.content[chunk.ID{Kind: chunk.BLAKE3, Hash: h}]
		if !ok {
			return nil, &node.NotFoundError{ID: g.ID, Asked: 3, After: g.FindTimeout}
		}
		return data, nil
	})
}

// GetFolder gets one file after the other.
func (n *fakeNode) GetFolder(ctx context.Context, g node.GetFolder) error {
	for _, f := range g.Files {
		path := filepath.Join(g.Dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		got, err := n.Get(ctx, node.Get{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: f.BLAKE3}, Path: path, Force: g.Force})
		g.Done(node.FolderFile{File: f, Path: path, Existed: got.Existed, Fetched: got.Fetched, Err: err})
	}
	g.Progress(node.FolderProgress{Files: len(g.Files), FilesTotal: len(g.Files)})
	return ctx.Err()
}

func (n *fakeNode) GetNamed(ctx context.Context, name string, g node.Get) (node.Got, error) {
	return node.Got{}, &node.NotFoundError{Name: name, After: g.FindTimeout}
}

func (n *fakeNode) Ping(ctx context.Context, addr netip.AddrPort) (node.Pong, error) {
	f := n.net
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pingErr != nil {
		return node.Pong{}, f.pingErr
	}
	rtt := time.Millisecond
	if len(f.rtts) > 0 {
		rtt, f.rtts = f.rtts[0], f.rtts[1:]
	}
	return node.Pong{From: addr, RTT: rtt, Bytes: 41}, nil
}

func (n *fakeNode) Chat(ctx context.Context, addr netip.AddrPort, text string) (node.Said, error) {
	if n.net.chatErr != nil {
		return node.Said{}, n.net.chatErr
	}
	n.net.said = append(n.net.said, addr.String()+" "+text)
	return node.Said{}, nil
}

func (n *fakeNode) Say(ctx context.Context, to identity.PublicKey, text string) (node.Said, error) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.net.said = append(n.net.said, to.String()[:8]+" "+text)
	return node.Said{Key: to}, n.net.chatErr
}

func (n *fakeNode) SayAll(ctx context.Context, group, text string) (node.Said, error) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.net.said = append(n.net.said, "#"+group+" "+text)
	return node.Said{Known: 3, Delivered: 2}, n.net.chatErr
}

func (n *fakeNode) Key() identity.PublicKey { return fakeKey.Public() }

func (n *fakeNode) Whois(key identity.PublicKey) (identity.Place, bool) {
	p, ok := n.net.places[key]
	return p, ok
}

func (n *fakeNode) Find(ctx context.Context, key identity.PublicKey) (identity.Place, error) {
	if p, ok := n.net.places[key]; ok {
		return p, nil
	}
	return identity.Place{}, node.ErrNoAnswer
}

func (n *fakeNode) Nearest(ctx context.Context, most int) []netip.AddrPort { return n.net.nearest }

// ResolveAny knows the names of records.
func (n *fakeNode) ResolveAny(ctx context.Context, q node.NameQuery) (rs []identity.Record, err error) {
	known := n.net.records
	if q.Older {
		known = n.net.olders
	}
	for _, name := range q.Names {
		for _, r := range known {
			if r.Key == q.Key && r.Path == name && r.Seq >= q.Seq {
				rs = append(rs, r)
			}
		}
	}
	if len(rs) == 0 {
		return nil, &node.NameError{Key: q.Key, Name: q.Names[0], Asked: 7, After: time.Second}
	}
	return rs, n.net.resolveErr
}

func (n *fakeNode) PublishPath(ctx context.Context, name string, o seed.Options, emit func(seed.Event)) ([]identity.Record, error) {
	if _, err := n.Seed(ctx, o, emit); err != nil {
		return nil, err
	}
	r := identity.Record{Key: n.Key(), Path: name, Seq: 1}
	n.net.records = append(n.net.records, r)
	return []identity.Record{r}, nil
}

// fakeKey and fakeFriend are whom the fake net knows.
var fakeKey, fakeFriend = keyOf(1), keyOf(2)

func keyOf(n byte) *identity.Key {
	k, err := identity.KeyFromSeed([32]byte{n})
	if err != nil {
		panic(err)
	}
	return k
}

func (n *fakeNode) OnChat(show func(node.Chat)) {
	for _, c := range n.net.inbox {
		show(c)
	}
}

// result is what a command line did.
type result struct {
	code     exit
	out, err string
}

// console runs command lines against a fake swarm.
type console struct {
	net   *fakeNet
	env   map[string]string
	stdin string
	tty   bool
}

func newConsole(t testing.TB) *console {
	return &console{net: newFakeNet(), env: map[string]string{"HOME": t.TempDir(), "SHARER_MIN_FREE": "0"}}
}

func (c *console) stdio(out, err *bytes.Buffer) *stdio {
	return &stdio{in: strings.NewReader(c.stdin), out: out, err: err, outTTY: c.tty, errTTY: c.tty,
		getenv: func(k string) string { return c.env[k] }, start: c.net.start, open: c.net.open}
}

func (c *console) run(ctx context.Context, args ...string) result {
	var out, errs bytes.Buffer
	code := run(ctx, args, c.stdio(&out, &errs))
	return result{code, out.String(), errs.String()}
}

// runUntilReached runs a command, interrupts it when the fake says that it is
// there, and returns what it did.
func (c *console) runUntilReached(t *testing.T, sig os.Signal, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan result, 1)
	go func() { done <- c.run(ctx, args...) }()
	select {
	case r := <-done:
		t.Fatalf("ended early: %+v", r)
	case <-c.net.reached:
	}
	cancel(&interrupted{sig})
	return <-done
}

// want fails the test unless code and parts of the output are there; a part that
// begins with ! must not be.
func (r result) want(t *testing.T, code exit, out, errs string, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	if out != "*" && r.out != out {
		t.Errorf("stdout %q, want %q", r.out, out)
	}
	for _, part := range append([]string{errs}, parts...) {
		if rest, not := strings.CutPrefix(part, "!"); not == strings.Contains(r.err, rest) && part != "" {
			t.Errorf("stderr %q, about %q", r.err, part)
		}
	}
}
