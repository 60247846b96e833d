package chunk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestInMemory: what is published is on disk whole, nothing else is, and nothing is replaced unasked.
func TestInMemory(t *testing.T) {
	dir := t.TempDir()
	m := InMemory{Max: 100}
	to := filepath.Join(dir, "f")
	f, err := m.Open(to + ".part")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		text string
		at   int64
	}{{"world", 6}, {"hello ", 0}} {
		if _, err := f.WriteAt([]byte(part.text), part.at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt(make([]byte, 10), 91); !errors.Is(err, ErrLarger) {
		t.Errorf("a file of 101 bytes of 100: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("there is %v before it is published", left)
	}
	if err := m.Publish(f, to+".part", to, PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Publish(f, to+".part", to, PublishOptions{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("published twice: %v", err)
	}
	if err := f.Truncate(5); err != nil {
		t.Fatal(err)
	}
	if err := m.Publish(f, to+".part", to, PublishOptions{Replace: true, Fsync: true}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(to)
	if left, _ := os.ReadDir(dir); err != nil || string(text) != "hello" || len(left) != 1 {
		t.Errorf("%q %v, beside %v", text, err, left)
	}
}

// TestInMemoryBeside: what lies under the temporary name already is not written through, nor written to while another
// process does, and is made use of or removed if a crash has left it.
func TestInMemoryBeside(t *testing.T) {
	dir := t.TempDir()
	m := InMemory{Max: 100}
	to := filepath.Join(dir, "f")
	f, _ := m.Open(to + ".part")
	if _, err := f.WriteAt([]byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	other, _, err := osFS{}.OpenLocked(to + ".part")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.WriteAt([]byte("of another"), 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Publish(f, to+".part", to, PublishOptions{Replace: true}); !errors.Is(err, ErrLocked) {
		t.Errorf("written beside another: %v", err)
	}
	if text, err := os.ReadFile(to + ".part"); err != nil || string(text) != "of another" {
		t.Errorf("the other's is %q, %v", text, err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Publish(f, to+".part", to, PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(to); err != nil || string(text) != "new" {
		t.Errorf("over what a crash left: %q, %v", text, err)
	}
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, to+".part"); err != nil {
		t.Skip("no links here: ", err)
	}
	if err := m.Publish(f, to+".part", to, PublishOptions{Replace: true}); !errors.Is(err, ErrNotRegular) {
		t.Errorf("through a link: %v", err)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "mine" {
		t.Errorf("written through a link: %q, %v", text, err)
	}
	if err := m.Remove(to + ".part"); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}
