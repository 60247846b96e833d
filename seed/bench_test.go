package seed

import (
	"os"
	"path/filepath"
	"testing"

	"sharer/index"
)

// benchFolder is the folder that SEED_BENCH names, such as $(go env GOROOT)/src.
func benchFolder(b *testing.B) string {
	dir := os.Getenv("SEED_BENCH")
	if dir == "" {
		b.Skip("SEED_BENCH names no folder to seed")
	}
	return dir
}

func scanOnce(b *testing.B, state, dir string) Report {
	ix, err := index.Open(filepath.Join(state, "index"), index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer ix.Close()
	trees, err := OpenTrees(filepath.Join(state, "trees"))
	if err != nil {
		b.Fatal(err)
	}
	defer trees.Close()
	r, err := Scan(b.Context(), ix, Options{Paths: []string{dir}}, trees, nil)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkScan hashes and records a folder, index and trees opened and closed with it.
func BenchmarkScan(b *testing.B) {
	dir := benchFolder(b)
	for b.Loop() {
		r := scanOnce(b, b.TempDir(), dir)
		b.SetBytes(r.Read)
		b.ReportMetric(float64(r.Files), "files")
	}
}

// BenchmarkRescan does it again when nothing has changed.
func BenchmarkRescan(b *testing.B) {
	dir, state := benchFolder(b), b.TempDir()
	scanOnce(b, state, dir)
	for b.Loop() {
		if r := scanOnce(b, state, dir); r.Reused != r.Files {
			b.Fatalf("%+v", r)
		}
	}
}
