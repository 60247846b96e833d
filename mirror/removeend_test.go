package mirror

import (
	"os"
	"path/filepath"
	"testing"

	"sharer/chunk"
)

// TestRemovedWhileClosing: of a mirror that is removed with its data nothing stays, also while the node closes: nobody would know of it.
func TestRemovedWhileClosing(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(3, "one"))
	set, m := open(t, s, dir, func(*Spec) {})
	ownLook(m)
	mustSync(t, m)
	spec := m.Look().Spec
	set.Stop()
	err := set.Remove(t.Context(), "m", true)
	t.Log(err) // the last word to others may have failed
	set.Close()
	again, _, err := OpenSet(set.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	versions, _ := os.ReadDir(filepath.Join(spec.Dir, versionsDir))
	n := 0
	if err := again.contents.Each(func(chunk.Hash, int64) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(again.Mirrors()) == 0 && len(versions) > 0 {
		t.Errorf("%s stays, and no mirror knows of it", versions)
	}
	if len(again.Mirrors()) == 0 && n > 0 {
		t.Errorf("%d contents stay, garbage=%v, and nothing collects them", n, again.garbage.Load())
	}
}
