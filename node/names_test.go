package node

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/netsim"
)

// A target may have the longest name that a file system takes.
func TestLongestName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, netsim.Link{Delay: time.Millisecond})
		defer w.close()
		_, at, contents := w.seeder(Config{}, 10_000)
		n, _ := w.start(Config{Peers: []netip.AddrPort{at}})
		for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("ä", 127) + "x", strings.Repeat("n", 244)} {
			path := filepath.Join(t.TempDir(), name)
			if _, err := n.Get(t.Context(), Get{ID: contents[0].blake3(), Size: -1, Path: path}); err != nil {
				t.Fatalf("%d bytes of name: %v", len(name), err)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 || entries[0].Name() != name {
				t.Errorf("%d bytes of name: %v (%v)", len(name), entries, err)
			}
		}
	})
}
