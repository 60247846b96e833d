//go:build unix

package seed

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/index"
)

// canary is the content of a file outside the folder: it must never be known.
const canary = "the secret of another folder"

// outside makes a folder with the canary, and a check that it was not read.
func (b *bench) outside() string {
	dir := b.TempDir()
	b.must(os.WriteFile(filepath.Join(dir, "secret"), []byte(canary), 0o600))
	b.Cleanup(func() {
		sums, err := chunk.Sum(context.Background(), strings.NewReader(canary), int64(len(canary)), nil, nil)
		if err != nil {
			b.Error(err)
		}
		if _, places, err := b.ix.Lookup(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}); !errors.Is(err, index.ErrNotFound) {
			b.Errorf("the canary is in the index: %v, %v", places, err)
		}
	})
	return dir
}

func TestSpecials(t *testing.T) {
	b := newBench(t)
	out := b.outside()
	b.write("file", "file")
	b.must(syscall.Mkfifo(filepath.Join(b.dir, "pipe"), 0o644))
	l, err := net.Listen("unix", filepath.Join(b.dir, "socket"))
	if err == nil {
		defer l.Close()
	}
	want := map[string]string{"pipe": NotRegular, "socket": NotRegular}
	if err != nil {
		delete(want, "socket") // the path is too long for one
	}
	if os.Geteuid() == 0 && syscall.Mknod(filepath.Join(b.dir, "device"), syscall.S_IFCHR|0o644, 1<<8|5) == nil {
		want["device"] = NotRegular // /dev/zero
	}
	b.must(os.Link(filepath.Join(b.dir, "file"), filepath.Join(b.dir, "hard")))
	for name, target := range map[string]string{
		"etc": "/etc", "passwd": "/etc/passwd", "loop": "loop", "self": ".", "up": "..", "secret": filepath.Join(out, "secret"),
		"inside": "file", "nowhere": "gone",
	} {
		b.must(os.Symlink(target, filepath.Join(b.dir, name)))
		want[name] = Link
	}
	s := b.scan(Options{})
	if !slices.Equal(s.rels(), []string{"file", "hard"}) || s.err != nil || s.Failed != 0 {
		t.Errorf("seeded %q, %v", s.rels(), s.fails)
	}
	for name, reason := range want {
		if s.skips[name] != reason {
			t.Errorf("%s: %q, want %q", name, s.skips[name], reason)
		}
	}
	if len(s.skips) != len(want) {
		t.Errorf("skips: %v", s.skips)
	}
	// A special file that is named itself is a failure; nor does it block.
	if s := b.scan(Options{Paths: []string{filepath.Join(b.dir, "pipe")}}); !errors.Is(s.fails["pipe"], chunk.ErrNotRegular) {
		t.Errorf("named pipe: %v", s.fails)
	}
	// A link that is named itself is followed: the user asked for it.
	if s := b.scan(Options{Paths: []string{filepath.Join(b.dir, "inside")}}); !slices.Equal(s.rels(), []string{"file"}) {
		t.Errorf("named link: %q", s.rels())
	}
}

func TestFollowLinks(t *testing.T) {
	b := newBench(t)
	out := b.outside()
	b.write("a/file", "file")
	b.write("a/b/deep", "deep")
	b.write(".store/blob", "blob")
	b.write(".store/sub/x", "x")
	b.must(syscall.Mkfifo(filepath.Join(b.dir, ".store", "pipe"), 0o644))
	want := map[string]string{}
	link := func(name, target, reason string) {
		b.must(os.Symlink(target, filepath.Join(b.dir, name)))
		if reason != "" {
			want[name] = reason
		}
	}
	link("rel", ".store/blob", "")
	link("abs", filepath.Join(b.dir, ".store/blob"), "")
	link("chain", "rel", "")
	link("store", ".store/sub", "")
	link("store2", ".store/sub", LinkLoop)
	link("pipe", ".store/pipe", NotRegular)
	link("out", filepath.Join(out, "secret"), LinkOut)
	link("outdir", out, LinkOut)
	link("dots", "../"+filepath.Base(out)+"/secret", LinkOut)
	link("parent", "..", LinkOut)
	link("self", ".", LinkOut)
	link("a/b/up", "../..", LinkOut)
	link("a/b/a", "..", LinkOut)
	link("loop", "loop", LinkBroken)
	link("gone", "nothing", LinkBroken)
	want[".store"] = Hidden
	s := b.scan(Options{FollowLinks: true})
	if got := s.rels(); !slices.Equal(got, []string{"a/b/deep", "a/file", "abs", "chain", "rel", "store/x"}) || s.Failed != 0 {
		t.Errorf("seeded %q, %v", got, s.fails)
	}
	for name, reason := range want {
		if s.skips[name] != reason {
			t.Errorf("%s: %q, want %q", name, s.skips[name], reason)
		}
	}
	if len(s.skips) != len(want) {
		t.Errorf("skips: %v", s.skips)
	}
	// The path that is recorded can be opened without following a link.
	for rel, f := range s.files {
		file, _, err := chunk.OpenRegular(f.Path)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			continue
		}
		file.Close()
	}
}

// TestSwapped swaps files and folders for links at the worst moments.
func TestSwapped(t *testing.T) {
	cases := []struct {
		name, stage, at string
		swap            func(b *bench, out string) error
		files           []string
	}{
		{"file for a link out", "open", "d/secret", func(b *bench, out string) error {
			return replace(filepath.Join(b.dir, "d/secret"), filepath.Join(out, "secret"))
		}, []string{"z"}},
		{"file for a link inside", "open", "d/secret", func(b *bench, _ string) error {
			return replace(filepath.Join(b.dir, "d/secret"), "../z")
		}, []string{"z"}},
		{"file for a link beside it", "open", "d/secret", func(b *bench, _ string) error {
			b.write("d/.private", "private")
			return replace(filepath.Join(b.dir, "d/secret"), ".private")
		}, []string{"z"}},
		{"folder for a link to another inside", "folder", "d", func(b *bench, _ string) error {
			b.write(".private/secret", "private")
			return replace(filepath.Join(b.dir, "d"), ".private")
		}, []string{"z"}},
		{"folder for a link out, before it is opened", "folder", "d", func(b *bench, out string) error {
			return replace(filepath.Join(b.dir, "d"), out)
		}, []string{"z"}},
		{"folder for a link inside, before it is opened", "folder", "d", func(b *bench, _ string) error {
			return errors.Join(os.Rename(filepath.Join(b.dir, "d"), filepath.Join(b.dir, ".moved")), os.Symlink(".moved", filepath.Join(b.dir, "d")))
		}, []string{"d/secret", "z"}}, // it is the folder that was looked at, wherever it is
		{"folder for a link out, before its file is opened", "open", "d/secret", func(b *bench, out string) error {
			// What was opened before is the folder that was given: its own file is read.
			return errors.Join(os.Rename(filepath.Join(b.dir, "d"), filepath.Join(b.dir, ".moved")), os.Symlink(out, filepath.Join(b.dir, "d")))
		}, []string{"d/secret", "z"}},
		{"folder for a pipe", "folder", "d", func(b *bench, _ string) error {
			return errors.Join(os.RemoveAll(filepath.Join(b.dir, "d")), syscall.Mkfifo(filepath.Join(b.dir, "d"), 0o644))
		}, []string{"z"}},
		{"file for a pipe", "open", "d/secret", func(b *bench, _ string) error {
			return errors.Join(os.Remove(filepath.Join(b.dir, "d/secret")), syscall.Mkfifo(filepath.Join(b.dir, "d/secret"), 0o644))
		}, []string{"z"}},
		{"file for another file", "open", "d/secret", func(b *bench, _ string) error {
			b.write("d/new", "another")
			return os.Rename(filepath.Join(b.dir, "d/new"), filepath.Join(b.dir, "d/secret"))
		}, []string{"d/secret", "z"}},
		{"file gone", "open", "d/secret", func(b *bench, _ string) error {
			return os.Remove(filepath.Join(b.dir, "d/secret"))
		}, []string{"z"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			out := b.outside()
			b.write("d/secret", "harmless")
			b.write("z", "z")
			swapped := false
			s := b.scan(Options{Workers: 1, hook: func(stage, path string) {
				if stage == c.stage && (path == c.at || path == filepath.Join(b.dir, c.at)) && !swapped {
					swapped = true
					b.must(c.swap(b, out))
				}
			}})
			if !swapped || s.err != nil {
				t.Fatalf("swapped %v, %v", swapped, s.err)
			}
			if !slices.Equal(s.rels(), c.files) {
				t.Errorf("seeded %q, failed %v, skipped %v", s.rels(), s.fails, s.skips)
			}
		})
	}
}

func replace(path, target string) error {
	return errors.Join(os.RemoveAll(path), os.Symlink(target, path))
}

// TestChanging changes a file while it is hashed, once and for ever, in each way.
func TestChanging(t *testing.T) {
	touch := 0
	ways := map[string]func(path string) error{
		"grows":   func(path string) error { return appendTo(path, "more") },
		"shrinks": func(path string) error { return os.Truncate(path, 10) },
		"edited": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			touch++
			_, err = f.WriteAt([]byte{byte(touch)}, 7)
			// Two writes within one tick of a coarse clock look alike.
			return errors.Join(err, os.Chtimes(path, time.Time{}, time.Unix(int64(touch), 0)))
		},
	}
	for name, change := range ways {
		for _, stage := range []string{"hash", "hashed"} {
			for _, times := range []int{1, 2} {
				t.Run(name+" before "+stage, func(t *testing.T) {
					b := newBench(t)
					path := b.write("file", strings.Repeat("content ", 50000))
					b.write("other", "other")
					n := 0
					s := b.scan(Options{hook: func(at, p string) {
						if at == stage && p == path && n < times {
							n++
							b.must(change(path))
						}
					}})
					if times == 1 || name == "shrinks" && n == 1 {
						if !slices.Equal(s.rels(), []string{"file", "other"}) {
							t.Errorf("once: %v, %v", s.rels(), s.fails)
						}
					} else if err := s.fails["file"]; !errors.Is(err, ErrChanging) || s.Files != 1 || n != 2 {
						if name != "shrinks" { // cut twice to the same length it stays the same
							t.Errorf("twice: %v, %v", s.rels(), s.fails)
						}
					}
					b.check(s)
				})
			}
		}
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
