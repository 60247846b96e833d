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
