package seed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sharer/index"
)

func TestVerify(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"sound", "changed", "damaged", "gone", "folder", "short"} {
		b.write(name, "content of it")
	}
	s := b.scan(Options{})
	entry := func(name string) index.Entry {
		f := s.files[name]
		return index.Entry{Content: f.Content, Place: index.Place{Path: f.Path, Stamp: f.Stamp}}
	}
	b.write("changed", "CONTENT of it")
	b.must(os.Chtimes(filepath.Join(b.dir, "changed"), time.Time{}, time.Unix(1, 0)))
	b.must(os.Remove(filepath.Join(b.dir, "gone")))
	b.must(errors.Join(os.Remove(filepath.Join(b.dir, "folder")), os.Mkdir(filepath.Join(b.dir, "folder"), 0o700)))
	b.must(os.Truncate(filepath.Join(b.dir, "short"), 3))
	rotten := entry("damaged")
	rotten.Content.BLAKE3[3] ^= 1
	onlySHA := entry("sound")
	onlySHA.Content.BLAKE3, onlySHA.Place.Stamp = [32]byte{}, entry("folder").Place.Stamp
	onlySHA.Place.Stamp = index.Place{}.Stamp
	for name, c := range map[string]struct {
		e    index.Entry
		want Verdict
	}{
		"sound": {entry("sound"), Sound}, "changed": {entry("changed"), Changed}, "damaged": {rotten, Damaged}, "gone": {entry("gone"), Missing},
		"a folder": {entry("folder"), Changed}, "shorter": {entry("short"), Changed}, "one hash, no stamp": {onlySHA, Sound},
	} {
		read := 0
		if got := Verify(t.Context(), c.e, func(n int) { read += n }); got.Verdict != c.want || (got.Err == nil) != (c.want == Sound) || c.want == Sound && read != len("content of it") {
			t.Errorf("%s: %v, %v, %d bytes read", name, got.Verdict, got.Err, read)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Verify(ctx, entry("sound"), nil); got.Verdict != Unreadable || !errors.Is(got.Err, context.Canceled) {
		t.Errorf("cancelled: %v", got)
	}
}
