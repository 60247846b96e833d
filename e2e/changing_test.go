//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

const changingSize = 8 * mib

// changes are what may become of a seeded file.
var changes = []struct {
	name string
	do   func(t *testing.T, path string)
}{
	{"overwritten", overwrite},
	{"overwritten and its times restored", func(t *testing.T, path string) {
		fi, err := os.Stat(path)
		check(t, err)
		overwrite(t, path)
		check(t, os.Chtimes(path, fi.ModTime(), fi.ModTime()))
	}},
	{"replaced by a rename", func(t *testing.T, path string) {
		generate(t, path+".new", changingSize, 99)
		check(t, os.Rename(path+".new", path))
	}},
	{"shrunk", func(t *testing.T, path string) { check(t, os.Truncate(path, changingSize/2+1)) }},
	{"emptied", func(t *testing.T, path string) { check(t, os.Truncate(path, 0)) }},
	{"grown", func(t *testing.T, path string) { check(t, os.Truncate(path, 2*changingSize)) }},
	{"removed", func(t *testing.T, path string) { check(t, os.Remove(path)) }},
	{"a link", func(t *testing.T, path string) {
		generate(t, path+".other", changingSize, 99)
		check(t, os.Remove(path))
		check(t, os.Symlink(path+".other", path))
	}},
	{"a FIFO", func(t *testing.T, path string) {
		check(t, os.Remove(path))
		check(t, syscall.Mkfifo(path, 0o666))
	}},
	{"a folder", func(t *testing.T, path string) {
		check(t, os.Remove(path))
		check(t, os.Mkdir(path, 0o777))
	}},
}

// overwrite replaces every byte in place.
func overwrite(t *testing.T, path string) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(t, err)
	defer f.Close()
	_, err = io.CopyN(f, random(99), changingSize)
	check(t, err)
	check(t, f.Close())
}

// TestChangingFiles changes seeded files before and while they are fetched, under both kinds of
// id. No byte that was not in the original arrives, and the seed goes on with its others.
func TestChangingFiles(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := folder(t)
	path := func(change int, name string) string { return filepath.Join(dir, string(rune('a'+change))+"-"+name) }
	for i := range changes {
		for j, name := range []string{"before-blake3", "before-sha256", "during-blake3", "during-sha256"} {
			generate(t, path(i, name), changingSize, uint64(200+10*i+j))
		}
	}
	steady := filepath.Join(dir, "steady")
	generate(t, steady, changingSize, 7)
	// Slow enough that a change comes while the file is under way.
	seed, addr := seeding(t, how{}, "127.0.0.1:0", dir, "--bwlimit", "24M:off")
	for i, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			c.do(t, path(i, "before-blake3"))
			c.do(t, path(i, "before-sha256"))
			absent(t, addr, "blake3/"+seed.file(path(i, "before-blake3")).BLAKE3)
			absent(t, addr, seed.file(path(i, "before-sha256")).SHA256)
			during(t, addr, "blake3/"+seed.file(path(i, "during-blake3")).BLAKE3, path(i, "during-blake3"), uint64(200+10*i+2), c.do)
			during(t, addr, seed.file(path(i, "during-sha256")).SHA256, path(i, "during-sha256"), uint64(200+10*i+3), c.do)
			seed.alive()
		})
	}
	target := filepath.Join(folder(t), "steady")
	getting(t, how{}, "127.0.0.1:0", addr, seed.file(steady).Link, target).got()
	same(t, target, steady)
	if code := seed.stop(); code != 0 {
		t.Errorf("seed ends with %d: %s", code, seed.errors.String())
	}
}

// absent fails the test unless nobody has the content, and nothing of it arrives.
func absent(t *testing.T, addr, id string) {
	t.Helper()
	target := filepath.Join(folder(t), "copy")
	getting(t, how{}, "127.0.0.1:0", addr, id, target, "--find-timeout", "1s", "--stall-timeout", "1s").want(3)
	if part, err := os.ReadFile(target + ".part"); err == nil && len(bytes.Trim(part, "\x00")) > 0 {
		t.Errorf("bytes arrived of a file that had changed before")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// during changes the file when a quarter of it has arrived.
func during(t *testing.T, addr, id, path string, seed uint64, change func(*testing.T, string)) {
	t.Helper()
	target := filepath.Join(folder(t), "copy")
	get := getting(t, how{}, "127.0.0.1:0", addr, id, target, "--progress-interval", "5ms", "--find-timeout", "1s", "--stall-timeout", "1s")
	get.wait("a quarter", func(e event) bool { return e.Type == "status" && e.Done >= changingSize/4 })
	change(t, path)
	original := make([]byte, changingSize)
	_, err := io.ReadFull(random(seed), original)
	check(t, err)
	switch code := get.exit(); code {
	case 0:
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, original) {
			t.Errorf("%s: wrong bytes were taken for good (%v)", path, err)
		}
		t.Logf("%s: it was all sent before", id[:10])
	case 4:
		part, err := os.ReadFile(target + ".part")
		check(t, err)
		onlyOriginal(t, part, original)
	default:
		t.Errorf("%s: exit %d, want 0 or 4: %s", path, code, get.errors.String())
	}
}

// onlyOriginal fails the test if a block is neither the original's nor a hole.
func onlyOriginal(t *testing.T, part, original []byte) {
	t.Helper()
	const block = 4096
	held, hole := 0, make([]byte, block)
	for off := 0; off < len(part); off += block {
		end := min(off+block, len(part))
		switch {
		case end <= len(original) && bytes.Equal(part[off:end], original[off:end]):
			held++
		case !bytes.Equal(part[off:end], hole[:end-off]):
			t.Fatalf("the block at %d is not the original's", off)
		}
	}
	if held == 0 {
		t.Error("nothing of what had arrived is kept")
	}
}
