package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharer/chunk"
)

// TestSalvage: a download that is complete and was not finished is copied, an incomplete one is not.
func TestSalvage(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1024) // 4 blocks
	sums := sumOf(t, data)
	for name, blocks := range map[string]int{"whole": 4, "half": 2} {
		p, err := chunk.OpenPartial(filepath.Join(dir, name), chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}, chunk.PartialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetSize(int64(len(data))); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(0, data[:blocks*chunk.BlockSize]); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c := newConsole(t)
	to := filepath.Join(t.TempDir(), "new", "rescued")
	for range 2 {
		r := c.run(t.Context(), "verify", "--state-dir", t.TempDir(), "--salvage", to, dir)
		if r.code != exitDone || !strings.Contains(r.out, "half.part  incomplete download") || !strings.Contains(r.out, "whole.part  complete, copied to "+to) {
			t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
		}
	}
	for _, name := range []string{"whole", "whole.1"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "half")); err == nil {
		t.Error("half is salvaged")
	}
	if _, err := os.Stat(filepath.Join(dir, "whole.part")); err != nil {
		t.Error(err)
	}
}
