package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sharer/chunk"
	"sharer/folder"
	"sharer/node"
	"sharer/seed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a server and a client on a real socket.
func pair(t *testing.T, dir string, register func(*Server)) *Client {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(func() About { return About{Release: "1.2.3", PID: os.Getpid()} })
	if register != nil {
		register(s)
	}
	s.Serve(l)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestVersion(t *testing.T) {
	c := pair(t, t.TempDir(), nil)
	if a := c.About(); a.API != API || a.Release != "1.2.3" || a.PID != os.Getpid() || !a.Same {
		t.Errorf("%+v", a)
	}
	err := c.Call(t.Context(), "GET", "/v1/of-tomorrow", nil, nil)
	if !errors.Is(err, ErrBad) || !strings.Contains(err.Error(), "1.2.3") {
		t.Errorf("an unknown path: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNone) {
		t.Errorf("without a socket: %v", err)
	}
	if _, err := Dial(t.Context(), filepath.Join(dir, strings.Repeat("long", 30))); !errors.Is(err, ErrNone) {
		t.Errorf("without a pointer: %v", err)
	}
	// What a killed process leaves: a socket that nobody listens on.
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, socketName)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNone) {
		t.Errorf("with a dead socket: %v", err)
	}
	pair(t, dir, nil) // and it is no obstacle
}

// TestEnding: a daemon that ends while it is asked who it is, is none any more.
func TestEnding(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.Close()
		}
		ended <- errors.Join(err, l.Close())
	}()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := ""
	t.Run("socket", func(t *testing.T) {
		pair(t, dir, nil)
		var err error
		if path, err = SocketPath(dir); err != nil || len(path) > longest {
			t.Errorf("%s (%d bytes), %v", path, len(path), err)
		}
		if fi, err := os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", fi.Mode(), err)
		}
	})
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir, nil)
	fi, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// TestOtherVersion: the number decides, whatever else the answer says.
func TestOtherVersion(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(func() About { return About{} })
	s.mux = newMux(map[string]any{"GET /v1/version": About{API: API + 1, Release: "9.9", PID: 7}})
	s.Serve(l)
	defer s.Close()
	_, err = Dial(t.Context(), dir)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "9.9") || !strings.Contains(err.Error(), "pid 7") {
		t.Errorf("%v", err)
	}
}

// TestErrorsTravel: what the far side returned is here what it was there, and reads the same.
func TestErrorsTravel(t *testing.T) {
	back := &fakeFetcher{}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeFetcher(back) })
	for _, s := range sentinels {
		back.err = fmt.Errorf("op %s: %w", s.code, s.err)
		_, err := c.Get(t.Context(), node.Get{ID: someID, Path: "x"})
		if !errors.Is(err, s.err) || err.Error() != back.err.Error() {
			t.Errorf("%s arrives as %v", s.code, err)
		}
		for _, other := range sentinels {
			if errors.Is(err, other.err) != errors.Is(back.err, other.err) {
				t.Errorf("%s: Is(%s) is %v on the far side", s.code, other.code, errors.Is(back.err, other.err))
			}
		}
	}
	back.err = fmt.Errorf("a: %w", &node.LockedError{Path: "p.part", PID: 12})
	_, err := c.Get(t.Context(), node.Get{ID: someID, Path: "x"})
	if l, ok := errors.AsType[*node.LockedError](err); !ok || *l != (node.LockedError{Path: "p.part", PID: 12}) {
		t.Errorf("%v", err)
	}
	back.err = &node.NotFoundError{ID: someID, Asked: 4, After: time.Minute}
	_, err = c.Get(t.Context(), node.Get{ID: someID, Path: "x"})
	if n, ok := errors.AsType[*node.NotFoundError](err); !ok || n.Asked != 4 || n.After != time.Minute || !errors.Is(err, node.ErrNotFound) {
		t.Errorf("%v", err)
	}
	back.err = errors.Join(node.ErrStalled, &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC})
	if _, err = c.Get(t.Context(), node.Get{ID: someID, Path: "x"}); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, node.ErrStalled) {
		t.Errorf("%v", err)
	}
}

var someID = chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}

// fakeFetcher answers what it is told.
type fakeFetcher struct {
	err     error
	asked   Fetch
	bytes   []byte // for follow.Out
	hangs   bool
	started chan struct{}
	stopped chan error
}

var _ Fetcher = (*fakeFetcher)(nil)

func (f *fakeFetcher) Fetch(ctx context.Context, in Fetch, follow Follower) (node.Got, error) {
	f.asked = in
	follow.Progress(node.FolderProgress{Progress: node.Progress{State: node.Downloading, Done: 1, Total: 2, Peers: 3}, Files: 4, FilesTotal: 5})
	if in.Folder != nil {
		follow.Done(node.FolderFile{File: in.Folder.Files[0], Path: string(in.Path) + "/a", Fetched: 7})
		follow.Done(node.FolderFile{File: in.Folder.Files[1], Path: string(in.Path) + "/b", Err: node.ErrStalled})
	}
	if follow.Out != nil {
		if _, err := follow.Out.Write(f.bytes); err != nil {
			return node.Got{}, err
		}
	}
	if f.hangs {
		close(f.started)
		<-ctx.Done()
		f.stopped <- ctx.Err()
		return node.Got{}, ctx.Err()
	}
	return node.Got{Path: string(in.Path), Size: 9, Duration: time.Second}, f.err
}

func (f *fakeFetcher) ReadFolder(context.Context, node.Get) (folder.Folder, error) {
	return folder.Folder{Name: "n", Files: []folder.File{{Path: "a", Size: 3}}}, f.err
}

func TestGet(t *testing.T) {
	back := &fakeFetcher{}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeFetcher(back) })
	t.Chdir(t.TempDir())
	var seen []node.Progress
	got, err := c.Get(t.Context(), node.Get{ID: someID, Size: 5, Path: "x", Force: true, FindTimeout: time.Second, Progress: func(p node.Progress) { seen = append(seen, p) }})
	if err != nil || got.Path != "x" || got.Size != 9 || got.Duration != time.Second {
		t.Errorf("%+v, %v", got, err)
	}
	if abs, _ := filepath.Abs("x"); string(back.asked.Path) != abs || !back.asked.Force || back.asked.Find != 1 || back.asked.ID != someID || back.asked.Size != 5 {
		t.Errorf("the far side was asked for %+v", back.asked)
	}
	if len(seen) != 1 || seen[0].Done != 1 || seen[0].State != node.Downloading || seen[0].Peers != 3 {
		t.Errorf("progress: %+v", seen)
	}
	f, err := c.ReadFolder(t.Context(), node.Get{ID: someID})
	if err != nil || f.Name != "n" || len(f.Files) != 1 || f.Files[0].Path != "a" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestGetStreams(t *testing.T) {
	back := &fakeFetcher{bytes: bytes.Repeat([]byte("{\"end\":1}\n"), 50_000)}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeFetcher(back) })
	var out bytes.Buffer
	if _, err := c.Get(t.Context(), node.Get{ID: someID, Path: "x", Out: &out}); err != nil || !bytes.Equal(out.Bytes(), back.bytes) {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}

func TestGetFolder(t *testing.T) {
	back := &fakeFetcher{}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeFetcher(back) })
	var done []node.FolderFile
	err := c.GetFolder(t.Context(), node.GetFolder{ID: someID, Files: []folder.File{{Path: "a", BLAKE3: chunk.Hash{2}}, {Path: "b"}}, Dir: "d", Done: func(f node.FolderFile) { done = append(done, f) }})
	if err != nil || len(done) != 2 || done[0].Path != "d/a" || done[0].Fetched != 7 || done[0].File.BLAKE3 != (chunk.Hash{2}) || !errors.Is(done[1].Err, node.ErrStalled) {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestClientGoes: the far side's work ends with the one who asked for it, and has ended when that one goes.
func TestClientGoes(t *testing.T) {
	back := &fakeFetcher{hangs: true, started: make(chan struct{}), stopped: make(chan error)}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeFetcher(back) })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.Get(ctx, node.Get{ID: someID, Path: "x"})
		gone <- err
	}()
	<-back.started
	cancel()
	if err := c.Call(t.Context(), "GET", "/v1/version", nil, nil); err != nil { // so long it has time to go
		t.Error(err)
	}
	if len(gone) > 0 {
		t.Error("it has gone while the far side is still at work")
	}
	if err := <-back.stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("the far side: %v", err)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestAnswerThatStops: an answer without an end is no success.
func TestAnswerThatStops(t *testing.T) {
	whole := `{"event":1}` + "\n" + `{"data":3}` + "\nabc" + `{"end":{"a":1}}` + "\n"
	for n := range len(whole) {
		var out map[string]int
		if err := readAnswer(strings.NewReader(whole[:n]), answer{}, &out); !errors.Is(err, ErrGone) {
			t.Fatalf("%q: %v", whole[:n], err)
		}
	}
	var data bytes.Buffer
	events, out := 0, map[string]int{}
	err := readAnswer(strings.NewReader(whole), answer{func(json.RawMessage) error { events++; return nil }, &data}, &out)
	if err != nil || events != 1 || data.String() != "abc" || out["a"] != 1 {
		t.Errorf("%d events, %q, %v, %v", events, &data, out, err)
	}
}

func TestPath(t *testing.T) {
	for _, want := range []Path{"", "/a b/ü", "/bad\xff\xfe", "/\n\x1b"} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Path
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%q arrives as %q, %v", want, got, err)
		}
	}
}

// fakeSeeder tells a scan's events.
type fakeSeeder struct {
	events  []seed.Event
	asked   seed.Options
	advised chunk.ID
	root    string
}

var _ Seeder = (*fakeSeeder)(nil)

func (f *fakeSeeder) Seed(_ context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error) {
	f.asked = o
	for _, e := range f.events {
		emit(e)
	}
	return seed.Report{Files: 3, Skips: map[string]int{"hidden": 2}}, nil
}
func (f *fakeSeeder) Recommend(id chunk.ID, _ int64) { f.advised = id }
func (f *fakeSeeder) MaySeed(path string) bool       { return strings.HasPrefix(path, f.root) }

func TestSeed(t *testing.T) {
	back := &fakeSeeder{events: []seed.Event{
		{Kind: seed.Found, Files: 1, Bytes: 2, Walked: true},
		{Kind: seed.FileDone, File: seed.File{Path: "/r/a\xff", Rel: "a\xff", Root: "/r", Stamp: chunk.Stamp{Size: 1, Ino: 1 << 63}, Executable: true, Reused: true}},
		{Kind: seed.Skipped, Path: "/r/.h", Reason: seed.Hidden},
		{Kind: seed.Failed, Path: "/r/b", Err: seed.ErrChanging},
		{Kind: seed.FolderDone, Folder: seed.Folder{Root: "/r", Name: "r", Sums: chunk.Sums{BLAKE3: chunk.Hash{4}}, Files: 1, Bytes: 2, Left: 1}},
	}}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeSeeder(back) })
	var got []seed.Event
	report, err := c.Seed(t.Context(), seed.Options{Paths: []string{"/r"}, Exclude: []string{"*.x"}, FollowLinks: true}, func(e seed.Event) { got = append(got, e) })
	if err != nil || report.Files != 3 || report.Skips["hidden"] != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	if back.asked.Paths[0] != "/r" || back.asked.Exclude[0] != "*.x" || !back.asked.FollowLinks {
		t.Errorf("asked for %+v", back.asked)
	}
	for i, want := range back.events {
		if !errors.Is(got[i].Err, want.Err) {
			t.Errorf("%v, want %v", got[i].Err, want.Err)
		}
		got[i].Err, want.Err = nil, nil
		if got[i] != want {
			t.Errorf("%+v, want %+v", got[i], want)
		}
	}
	if c.Recommend(someID, 1); back.advised != someID {
		t.Errorf("advised %v", back.advised)
	}
}

// TestOtherUser: who runs as somebody else has no file written by its path, and seeds only what he may.
func TestOtherUser(t *testing.T) {
	other := Caller{UID: 4711}
	f := Fetch{ID: someID, Path: "/home/victim/.profile"}
	if err := f.check(other); !errors.Is(err, ErrRefused) {
		t.Errorf("a path: %v", err)
	}
	f.Out = true
	if err := f.check(other); err != nil {
		t.Errorf("the bytes: %v", err)
	}
	if err := (&Fetch{ID: someID, Path: "rel"}).check(Caller{Same: true}); !errors.Is(err, ErrBad) {
		t.Errorf("a relative path: %v", err)
	}
}

// newMux answers with fixed documents.
func newMux(answers map[string]any) *http.ServeMux {
	m := http.NewServeMux()
	for pattern, doc := range answers {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(doc) })
	}
	return m
}

// TestGetFromOtherUser: the bytes come by the socket, and are written and verified here.
func TestGetFromOtherUser(t *testing.T) {
	data := bytes.Repeat([]byte("content "), 10_000)
	sums, err := chunk.Sum(t.Context(), bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}
	back := &fakeFetcher{bytes: data}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeFetcher(back) })
	c.about.Same = false
	target := filepath.Join(t.TempDir(), "x")
	get := func(force bool) (node.Got, error) {
		return c.Get(t.Context(), node.Get{ID: id, Path: target, Force: force, Also: chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}})
	}
	got, err := get(false)
	if text, rerr := os.ReadFile(target); err != nil || rerr != nil || !bytes.Equal(text, data) || got.Size != int64(len(data)) || got.Path != target {
		t.Fatalf("%+v, %v, %v", got, err, rerr)
	}
	if !back.asked.Out {
		t.Error("the daemon was asked to write the file")
	}
	if got, err := get(false); err != nil || !got.Existed {
		t.Errorf("again: %+v, %v", got, err)
	}
	if err := os.WriteFile(target, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(false); !errors.Is(err, node.ErrExists) {
		t.Errorf("over another file: %v", err)
	}
	if _, err := get(true); err != nil {
		t.Errorf("with force: %v", err)
	}
	back.bytes = append(bytes.Clone(data), 'x')
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if _, err := get(false); !errors.Is(err, node.ErrIntegrity) {
		t.Errorf("a daemon that lies: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(target)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// fakeHolder has some files.
type fakeHolder struct {
	Holder
	files int
	err   error
}

func (f *fakeHolder) Files(what string, each func(File) error) error {
	for i := range f.files {
		if err := each(File{Path: Path(fmt.Sprint(what, i)), Size: int64(i)}); err != nil {
			return err
		}
	}
	return f.err
}

func TestFiles(t *testing.T) {
	back := &fakeHolder{}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeHolder(back) })
	for _, n := range []int{0, 1, filesInLine, filesInLine + 1, 3*filesInLine - 1} {
		back.files = n
		i := 0
		err := c.Files(t.Context(), "x", func(f File) error {
			if f.Path != Path(fmt.Sprint("x", i)) || f.Size != int64(i) {
				t.Errorf("file %d is %+v", i, f)
			}
			i++
			return nil
		})
		if err != nil || i != n {
			t.Errorf("%d files of %d, %v", i, n, err)
		}
	}
	if back.err = ErrUnknown; !errors.Is(c.Files(t.Context(), "x", func(File) error { return nil }), ErrUnknown) {
		t.Error("the error is lost")
	}
}

// fakeTalker says what the test says to those who listen.
type fakeTalker struct {
	Talker
	listeners chan func(node.Chat)
}

func (f *fakeTalker) Chats(show func(node.Chat)) (stop func()) {
	f.listeners <- show
	return func() {}
}

// TestChatsFromNowOn: what is said after OnChat has returned is shown, such as the answer to what the caller says next.
func TestChatsFromNowOn(t *testing.T) {
	back := &fakeTalker{listeners: make(chan func(node.Chat), 1)}
	c := pair(t, t.TempDir(), func(s *Server) { s.ServeTalker(back) })
	heard := make(chan node.Chat, 1)
	c.OnChat(func(m node.Chat) { heard <- m })
	select {
	case show := <-back.listeners:
		show(node.Chat{Text: "hi"})
		if m := <-heard; m.Text != "hi" {
			t.Errorf("%+v", m)
		}
	default:
		t.Fatal("nobody listens yet")
	}
}
