//go:build linux

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLists asks what the other one has.
func TestLists(t *testing.T) {
	needs(t)
	_, absent := program("SHARER_RUST")
	listed := []int64{1, 5000, 100_000}
	cell(t, "sharer ls --peers", "what Rust shares", func(t *testing.T) (string, error) {
		if absent != nil {
			return "", absent
		}
		here, there := newPlace(t), newPlace(t)
		_, ip := wire(here, there, "10.88.1")
		r, err := there.rust()
		if err != nil {
			return "", err
		}
		want := map[string]int64{}
		for _, size := range listed {
			path := filepath.Join(folder(t), "content")
			generate(t, path, size, 7)
			i, err := r.share(path)
			if err != nil {
				return "", err
			}
			want[i.of("blake3")], want[i.sha256] = size, size
		}
		x := here.sharer("ls", "--peers", ip+":"+rustPort, "--isolated", "--listen", "10.88.1.1:0")
		if code := x.exit(patience); code != 0 {
			return "", fmt.Errorf("exit %d: %s", code, x.stderr())
		}
		found := 0
		for _, e := range x.events("offers") {
			for _, o := range e.Offers {
				if size, ok := want[o.ID]; ok && size == o.Size {
					found++
				} else {
					return "", fmt.Errorf("it lists %s of %d bytes, which nobody shares", o.ID, o.Size)
				}
			}
		}
		if found < len(listed) {
			return "", fmt.Errorf("%d of %d ids are listed: %s", found, len(want), x.stdout())
		}
		return fmt.Sprintf("%d contents, %d ids", len(listed), found), nil
	})
	cell(t, "Rust's /list", "what sharer seeds", func(t *testing.T) (string, error) {
		if absent != nil {
			return "", absent
		}
		here, there := newPlace(t), newPlace(t)
		wire(here, there, "10.88.1")
		dir := folder(t)
		for _, size := range listed {
			generate(t, filepath.Join(dir, fmt.Sprint(size)), size, 8)
		}
		var want []string
		for _, e := range here.seed(":24254", dir).events("file") {
			want = append(want, fmt.Sprintf(" blake3/%s %s\n", e.BLAKE3, filepath.Base(e.Path)))
		}
		r, err := there.rust()
		if err != nil {
			return "", err
		}
		for asked := 1; asked <= 20; asked++ { // it asks only whom it has met
			r.say("/list")
			if until(2*time.Second, func() bool {
				out := r.stdout()
				for _, line := range want {
					if !strings.Contains(out, line) {
						return false
					}
				}
				return len(want) == len(listed)
			}) {
				return fmt.Sprintf("%d contents", len(want)), nil
			}
		}
		return "", fmt.Errorf("want %q in %s", want, r.stdout())
	})
}
