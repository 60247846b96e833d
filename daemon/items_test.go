package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"sharer/control"
)

// A path that holds nothing any more does not look like one that is shared; a file without bytes does.
func TestEmptySeed(t *testing.T) {
	for _, c := range []struct {
		seed Seed
		want string
	}{{Seed{Path: "/a"}, "empty"}, {Seed{Path: "/a", Files: 1}, "seeding"}, {Seed{Path: "/a", Files: 2, Bytes: 9}, "seeding"}} {
		if it := c.seed.item(); it.State != c.want {
			t.Errorf("%+v is %q, want %q", c.seed, it.State, c.want)
		}
	}
}

// A path names an item by whatever way it leads there; what was named just so goes first.
func TestFindThroughLinks(t *testing.T) {
	dir := t.TempDir()
	real, way := filepath.Join(dir, "real"), filepath.Join(dir, "way")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, way); err != nil {
		t.Skip(err)
	}
	one := []control.Item{{Name: "way", Path: control.Path(way)}}
	if found, err := find(one, "real", real); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	two := append(one, control.Item{Name: "real", Path: control.Path(real)})
	if found, err := find(two, "x", real); err != nil || len(found) != 1 || found[0].Name != "real" {
		t.Errorf("%v, %v", found, err)
	}
}
