package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/mirror/storetest"
)

// copies are plain copies of folders by their URL, which say what they were asked for.
type copies struct {
	mu    sync.Mutex
	texts map[string][]byte
	cut   map[string]int64 // so many bytes come at most of one
	whole map[string]bool  // no stretches
	asked []string
}

func (c *copies) fetch(_ context.Context, p Plain) error {
	c.mu.Lock()
	text, cut, whole := c.texts[p.Base], c.cut[p.Base], c.whole[p.Base]
	c.asked = append(c.asked, fmt.Sprintf("%s %d+%d", p.Base, p.Off, p.Len))
	c.mu.Unlock()
	switch {
	case int64(len(text)) != p.Size:
		return errors.New("another size")
	case whole && p.Off > 0:
		return ErrNoRanges
	}
	text = text[p.Off : p.Off+p.Len]
	n := int64(len(text))
	if cut > 0 {
		n = min(n, cut)
	}
	if err := p.Write(text[:n]); err != nil || n == int64(len(text)) {
		return err
	}
	return io.ErrUnexpectedEOF
}

func (c *copies) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.asked = nil }()
	return strings.Join(c.asked, ", ")
}

// fixture is a mirror that asks copies, and a content.
func plainFixture(t *testing.T) (*Mirror, *copies, []byte, folder.File) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(1, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	ownLook(m)
	mustSync(t, m)
	text, _ := storetest.Text(1, 300<<10+17)
	sums, err := chunk.Sum(t.Context(), bytes.NewReader(text), int64(len(text)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &copies{texts: map[string][]byte{"http://a": text, "http://b": text}, cut: map[string]int64{}, whole: map[string]bool{}}
	set.cfg.HTTP = c.fetch
	return m, c, text, folder.File{Path: "f", Size: sums.Size, BLAKE3: sums.BLAKE3, SHA256: sums.SHA256}
}

// TestPlainCopy: what was interrupted goes on, with another copy too; what turns out to be wrong comes once more, and then from
// another copy; where there are no stretches, all of it.
func TestPlainCopy(t *testing.T) {
	m, c, text, f := plainFixture(t)
	spec := Spec{HTTP: []string{"http://a/", "http://b"}}
	to := filepath.Join(m.set.cfg.Blobs.New(), NewName(f.BLAKE3))
	wrong := append([]byte{text[0] ^ 1}, text[1:]...)
	size := len(text)
	for _, step := range []struct {
		what   string
		change func()
		good   bool
		asked  string
	}{
		{"both break off", func() { c.cut["http://a"], c.cut["http://b"] = 100, 50 }, false, fmt.Sprintf("http://a 0+%d, http://b 100+%d", size, size-100)},
		{"the first goes on", func() { delete(c.cut, "http://a") }, true, fmt.Sprintf("http://a 150+%d", size-150)},
		{"the first is another content", func() { c.texts["http://a"] = wrong; delete(c.cut, "http://b") }, true, fmt.Sprintf("http://a 0+%d, http://b 0+%d", size, size)},
		{"the beginning is another content's", func() { c.cut["http://a"], c.cut["http://b"] = 10, 10 }, false, fmt.Sprintf("http://a 0+%d, http://b 10+%d", size, size-10)},
		{"and comes once more", func() { c.texts["http://a"] = text; clear(c.cut) }, true, fmt.Sprintf("http://a 20+%d, http://a 0+%d", size-20, size)},
		{"a beginning", func() { c.cut["http://a"], c.cut["http://b"] = 10, 10 }, false, fmt.Sprintf("http://a 0+%d, http://b 10+%d", size, size-10)},
		{"no stretches", func() { clear(c.cut); c.whole["http://a"] = true }, true, fmt.Sprintf("http://a 20+%d, http://a 0+%d", size-20, size)},
	} {
		step.change()
		err := m.fromHTTP(t.Context(), spec, f, 0)
		if asked := c.said(); (err == nil) != step.good || asked != step.asked {
			t.Errorf("%s: %v, asked %s, want %s", step.what, err, asked, step.asked)
		}
		if got, err := os.ReadFile(to); step.good && (err != nil || !bytes.Equal(got, text) || os.Remove(to) != nil) {
			t.Errorf("%s: %d bytes, %v", step.what, len(got), err)
		}
	}
}

// TestPlainFills: of what the swarm has begun only what is missing is asked for, and each block is checked as it comes: a copy that is wrong
// spoils nothing.
func TestPlainFills(t *testing.T) {
	m, c, text, f := plainFixture(t)
	stage := filepath.Join(m.set.cfg.Blobs.New(), folder.Stage)
	if err := os.MkdirAll(stage, 0o700); err != nil {
		t.Fatal(err)
	}
	begin := func(tree bool) {
		t.Helper()
		part, err := chunk.OpenPartial(filepath.Join(stage, f.BLAKE3.String()), chunk.ID{Kind: chunk.BLAKE3, Hash: f.BLAKE3}, chunk.PartialOptions{})
		if err == nil {
			err = part.SetSize(f.Size)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer part.Close()
		if !tree {
			return
		}
		shape := part.Tree().Shape()
		file := filepath.Join(t.TempDir(), "tree")
		out, err := os.Create(file)
		if err == nil {
			_, err = chunk.Sum(t.Context(), bytes.NewReader(text), f.Size, out, nil)
		}
		var nodes []byte
		if err = errors.Join(err, out.Close()); err == nil {
			nodes, err = os.ReadFile(file)
		}
		for p := range shape.Pieces() {
			off, n := shape.Piece(p)
			err = errors.Join(err, part.Tree().Put(p, nodes[off:off+int64(n)]))
		}
		if _, writeErr := part.Write(10, text[10*chunk.BlockSize:30*chunk.BlockSize]); err != nil || writeErr != nil {
			t.Fatal(err, writeErr)
		}
	}
	begin(true)
	wrong := bytes.Clone(text)
	wrong[50*chunk.BlockSize] ^= 1
	c.texts["http://a"] = wrong
	if err := m.fromHTTP(t.Context(), Spec{HTTP: []string{"http://a", "http://b"}}, f, 0); err != nil {
		t.Fatal(err)
	}
	// The block that was wrong is all that the second copy gives of what the first has given.
	rest := len(text) - 30*chunk.BlockSize
	want := fmt.Sprintf("http://a 0+%d, http://a %d+%d, http://b %d+%d", 10*chunk.BlockSize, 30*chunk.BlockSize, rest, 50*chunk.BlockSize, chunk.BlockSize)
	asked := c.said()
	if !strings.HasPrefix(asked, want) {
		t.Errorf("asked %s, want %s", asked, want)
	}
	to := filepath.Join(m.set.cfg.Blobs.New(), NewName(f.BLAKE3))
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if left, _ := filepath.Glob(filepath.Join(stage, "*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	begin(false)
	if err := m.fromHTTP(t.Context(), Spec{HTTP: []string{"http://b"}}, f, 0); err != nil || c.said() != fmt.Sprintf("http://b 0+%d", len(text)) {
		t.Errorf("without a tree: %v", err)
	}
}

func TestPace(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, c := range []struct {
		name string
		down int64
		rate int64
		slow bool
	}{{"nothing comes", 0, 0, true}, {"too little", 0, slowRate - 1000, true}, {"enough", 0, slowRate + 1000, false}, {"as fast as it may", 10 << 10, 9 << 10, false}, {"slower than it may", 10 << 10, 4 << 10, true}} {
		p := newPace(c.down, at(0))
		if p.slow(at(29), 0) {
			t.Errorf("%s: slow before the time is over", c.name)
		}
		if got := p.slow(at(30), 30*c.rate); got != c.slow {
			t.Errorf("%s: slow %v", c.name, got)
		}
		if got := p.slow(at(60), 60*c.rate); got != c.slow {
			t.Errorf("%s, later: slow %v", c.name, got)
		}
	}
}

// TestSlowSwarm: a swarm that has all and gives nothing is left for a plain copy after half a minute; what that has not, the swarm
// is waited for.
func TestSlowSwarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := newSwarm(t), t.TempDir()
		s.publish(1, map[string]string{"VERSION": "http://copyVERSION"})
		s.begun = make(chan struct{}, 1)
		set, m := open(t, s, dir, func(spec *Spec) { spec.HTTP = []string{"http://copy"} })
		begun := time.Now()
		mustSync(t, m)
		if took := time.Since(begun); took < slowWindow || took > 2*slowWindow || m.Look().Trace.HTTP != 18 {
			t.Errorf("it took %v, %+v", took, m.Look().Trace)
		}
		set.Close()
	})
}
