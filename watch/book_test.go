package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
	"sharer/seed"
)

// world is a folder as a model: files by Rel, and a clock.
type world struct {
	now   time.Time
	files map[string]chunk.Stamp
	ino   uint64
}

func (w *world) stamp() chunk.Stamp {
	w.ino++
	at := w.now.UnixNano() + int64(w.ino%7)
	return chunk.Stamp{Size: int64(w.ino % 3), Mtime: at, Ctime: at, Ino: w.ino, Dev: 1}
}

// look lets a book look at a part, and carries its plan out; hashed says whether hashing works.
func (w *world) look(t *rapid.T, b *Book, only seed.Part, offered map[string]chunk.Stamp, hash bool) {
	b.Begin(only)
	within := func(rel string) bool {
		at := only
		for rel != "" && len(at) > 0 {
			name, rest, _ := strings.Cut(rel, "/")
			sub, ok := at[name]
			if !ok {
				return false
			}
			at, rel = sub, rest
		}
		return true
	}
	b.See(seed.Sight{Path: "/r", Folder: true}, w.now)
	dirs := map[string]bool{}
	for rel, s := range w.files {
		if !within(rel) {
			continue
		}
		for dir, _ := split(rel); dir != "" && !dirs[dir]; dir, _ = split(dir) {
			dirs[dir] = true
			b.See(seed.Sight{Path: "/r/" + dir, Rel: dir, Folder: true}, w.now)
		}
		b.See(seed.Sight{Path: "/r/" + rel, Rel: rel, Stamp: s}, w.now)
	}
	plan := b.End(w.now)
	for _, p := range plan.Withdraw {
		if _, ok := offered[p]; !ok {
			t.Fatalf("%s is withdrawn and was not offered", p)
		}
		delete(offered, p)
	}
	for _, m := range plan.Moves {
		if w.files[m.Rel] == m.Stamp {
			offered[m.To] = m.Stamp
			b.Offered(seed.File{Path: m.To, Rel: m.Rel, Stamp: m.Stamp})
		}
	}
	for _, rel := range plan.Hash {
		if s, ok := w.files[rel]; ok && hash {
			offered["/r/"+rel] = s
			b.Offered(seed.File{Path: "/r/" + rel, Rel: rel, Stamp: s})
		}
	}
	b.Hashed(w.now)
}

// TestBookModel: whatever happens to a folder, and however little hints tell, nothing is offered as what it is not from
// the next look on, and once all is quiet everything is offered as it is.
func TestBookModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: time.Unix(1_000_000, 0), files: map[string]chunk.Stamp{}}
		b := NewBook("/r", 2*time.Second)
		offered := map[string]chunk.Stamp{}
		names := []string{"a", "b", "d/a", "d/b", "d/e/a", "f/a"}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			rel := rapid.SampledFrom(names).Draw(t, "rel")
			switch rapid.SampledFrom([]string{"write", "remove", "rename", "time", "hint", "walk", "due", "lost"}).Draw(t, "what") {
			case "write":
				w.files[rel] = w.stamp()
			case "remove":
				delete(w.files, rel)
			case "rename": // of a folder: no stamp changes
				from, to := rapid.SampledFrom([]string{"d", "f"}).Draw(t, "from"), rapid.SampledFrom([]string{"d", "f"}).Draw(t, "to")
				for rel, s := range w.files {
					if rest, ok := strings.CutPrefix(rel, from+"/"); ok && from != to {
						delete(w.files, rel)
						w.files[to+"/"+rest] = s
					}
				}
			case "time":
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * time.Millisecond)
			case "hint":
				if b.Hint(rel) {
					part := seed.Part{}
					part.Add(rel)
					w.look(t, b, part, offered, true)
				}
			case "walk":
				w.look(t, b, nil, offered, rapid.Bool().Draw(t, "hashing works"))
				for p, s := range offered {
					if w.files[strings.TrimPrefix(p, "/r/")] != s {
						t.Fatalf("%s is offered as what it is not", p)
					}
				}
			case "due":
				if part, _ := b.Due(w.now); len(part) > 0 {
					w.look(t, b, part, offered, true)
				}
			case "lost":
				for _, p := range b.Lost(w.now) {
					if _, ok := offered[p]; ok {
						t.Fatalf("%s is forgotten and offered", p)
					}
				}
			}
		}
		for range 3 {
			w.now = w.now.Add(time.Hour)
			w.look(t, b, nil, offered, true)
		}
		if len(offered) != len(w.files) || b.Files() != len(w.files) {
			t.Fatalf("offered %v (%d), want %v", offered, b.Files(), w.files)
		}
		for rel, s := range w.files {
			if offered["/r/"+rel] != s {
				t.Fatalf("%s is offered as %v, want %v", rel, offered["/r/"+rel], s)
			}
		}
		n := 0
		b.Each(func(rel, path string, _ bool) {
			n++
			if "/r/"+rel != path {
				t.Fatalf("%s is at %s", rel, path)
			}
		})
		if part, next := b.Due(w.now); n != len(w.files) || len(part) > 0 || len(b.waiting) > 0 || !next.IsZero() && len(b.order) == 0 {
			t.Fatalf("%d files; due: %v at %s", n, part, next)
		}
	})
}

// TestRipening: when a file is looked at and hashed.
func TestRipening(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	stamp := func(s float64, size int64) chunk.Stamp {
		return chunk.Stamp{Size: size, Mtime: at(s).UnixNano(), Ctime: at(s).UnixNano(), Ino: 1}
	}
	type look struct {
		at    float64
		stamp chunk.Stamp
		hash  bool
		next  float64 // when it is due again
	}
	for name, looks := range map[string][]look{
		"old":          {{10, stamp(0, 1), true, 0}},
		"new":          {{1, stamp(0.5, 1), false, 2.5}, {2.5, stamp(0.5, 1), true, 0}},
		"grows":        {{1, stamp(1, 1), false, 3}, {3, stamp(2.9, 2), false, 4.9}, {4.9, stamp(4.8, 3), false, 6.8}, {6.8, stamp(4.8, 3), true, 0}},
		"of tomorrow":  {{1, stamp(100, 1), false, 3}, {3, stamp(100, 1), true, 0}},
		"shrinks late": {{1, stamp(1, 5), false, 3}, {9, stamp(5, 1), true, 0}},
	} {
		b := NewBook("/r", 2*time.Second)
		for i, l := range looks {
			b.Begin(nil)
			b.See(seed.Sight{Path: "/r", Folder: true}, at(l.at))
			b.See(seed.Sight{Path: "/r/f", Rel: "f", Stamp: l.stamp}, at(l.at))
			if hash := len(b.End(at(l.at)).Hash) == 1; hash != l.hash {
				t.Errorf("%s, look %d: hash %v", name, i, hash)
			}
			if _, next := b.Due(at(l.at)); l.next > 0 && !next.Equal(at(l.next)) || l.next == 0 && !next.IsZero() {
				t.Errorf("%s, look %d: due %s", name, i, next.Sub(start))
			}
		}
	}
}

// TestFailedLooks: what cannot be looked at for a moment stays offered; what is forbidden or gone does not.
func TestFailedLooks(t *testing.T) {
	for _, c := range []struct {
		path string
		err  error
		left []string
	}{
		{"/r/d", errors.New("i/o error"), []string{"/r/d/x", "/r/d/y", "/r/f"}},
		{"/r/d", fs.ErrPermission, []string{"/r/f"}},
		{"/r/d/x", errors.New("i/o error"), []string{"/r/d/x", "/r/d/y", "/r/f"}},
		{"/r/d/x", fs.ErrNotExist, []string{"/r/d/y", "/r/f"}},
		{"/r", errors.New("i/o error"), []string{"/r/d/x", "/r/d/y", "/r/f"}},
		{"/r", fs.ErrNotExist, nil},
	} {
		b := NewBook("/r", time.Second)
		for _, rel := range []string{"f", "d/x", "d/y"} {
			b.Offered(seed.File{Path: "/r/" + rel, Rel: rel})
		}
		b.Begin(nil)
		see := func(path, rel string, folder bool) {
			if path != c.path && !strings.HasPrefix(path, c.path+"/") {
				b.See(seed.Sight{Path: path, Rel: rel, Folder: folder}, time.Now())
			}
		}
		see("/r", "", true)
		see("/r/f", "f", false)
		see("/r/d", "d", true)
		see("/r/d/x", "d/x", false)
		see("/r/d/y", "d/y", false)
		b.Unseen(c.path, c.err)
		b.End(time.Now())
		var left []string
		b.Each(func(_, path string, _ bool) { left = append(left, path) })
		if slices.Sort(left); !slices.Equal(left, c.left) {
			t.Errorf("%s %v: left %q, want %q", c.path, c.err, left, c.left)
		}
	}
}

// TestBackoff: a file that cannot be hashed is tried again, at most each ten minutes.
func TestBackoff(t *testing.T) {
	b := NewBook("/r", 2*time.Second)
	now := time.Unix(1_000_000, 0)
	var waits []string
	for range 12 {
		b.Begin(nil)
		b.See(seed.Sight{Path: "/r", Folder: true}, now)
		b.See(seed.Sight{Path: "/r/f", Rel: "f"}, now)
		if plan := b.End(now); len(plan.Hash) != 1 {
			t.Fatalf("not tried: %v", waits)
		}
		b.Hashed(now)
		_, next := b.Due(now)
		waits = append(waits, fmt.Sprint(next.Sub(now)))
		now = next
	}
	if got := strings.Join(waits, " "); got != "4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 10m0s 10m0s 10m0s 10m0s" {
		t.Error(got)
	}
}
