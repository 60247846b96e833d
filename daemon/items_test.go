package daemon

import "testing"

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
