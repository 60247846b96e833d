package chunk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const vectorDir = "../testdata/vectors"

// counting is a content whose byte i is i mod 251.
func counting(size int64) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i % 251)
	}
	return p
}

// memory is a Backing, and an io.WriterAt for Sum, that grows.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// treeOf returns the sums and the tree file of a content.
func treeOf(t testing.TB, content []byte) (Sums, []byte) {
	t.Helper()
	var m memory
	s, err := Sum(context.Background(), bytes.NewReader(content), int64(len(content)), &m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, m.b
}

type vector struct {
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"`
	BLAKE3     string `json:"blake3"`
	TreeSize   int64  `json:"tree_size"`
	TreeSHA256 string `json:"tree_sha256"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectorDir, "contents.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Contents []vector `json:"contents"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Contents) < 10 {
		t.Fatalf("only %d vectors", len(all.Contents))
	}
	return all.Contents
}

func TestVectors(t *testing.T) {
	files := 0
	for _, v := range vectors(t) {
		t.Run(fmt.Sprint(v.Size), func(t *testing.T) {
			s, tree := treeOf(t, counting(v.Size))
			if got := s.SHA256.String(); got != v.SHA256 {
				t.Errorf("sha256 %s, want %s", got, v.SHA256)
			}
			if got := s.BLAKE3.String(); got != v.BLAKE3 {
				t.Errorf("blake3 %s, want %s", got, v.BLAKE3)
			}
			if got := ShapeOf(v.Size).FileSize(); got != v.TreeSize || int64(len(tree)) != got {
				t.Errorf("tree of %d bytes, shape says %d, want %d", len(tree), got, v.TreeSize)
			}
			if got := Hash(sha256.Sum256(tree)).String(); got != v.TreeSHA256 {
				t.Errorf("sha256 of the tree %s, want %s", got, v.TreeSHA256)
			}
			want, err := os.ReadFile(filepath.Join(vectorDir, "trees", fmt.Sprint(v.Size)+".b3t"))
			if os.IsNotExist(err) {
				return // the largest is known by its hash only
			} else if err != nil {
				t.Fatal(err)
			}
			files++
			if !bytes.Equal(tree, want) {
				t.Error("tree file differs")
			}
		})
	}
	if files < 10 {
		t.Errorf("only %d tree files were compared", files)
	}
}
