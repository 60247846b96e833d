package chunk

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"testing"

	zeebo "github.com/zeebo/blake3"
)

func BenchmarkSum(b *testing.B) {
	data := random(80, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Sum(ctx, bytes.NewReader(data), int64(len(data)), &fullDisk{left: 1 << 30}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSHA256 and BenchmarkBLAKE3 are what Sum is compared with.
func BenchmarkSHA256(b *testing.B) {
	data := random(81, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}

func BenchmarkBLAKE3(b *testing.B) {
	data := random(82, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		zeebo.Sum256(data)
	}
}

func BenchmarkLeafCVs(b *testing.B) {
	data := random(83, 256<<10)
	var dst []Hash
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		dst = LeafCVs(dst[:0], data, 0)
	}
}

func BenchmarkCheckBlocks(b *testing.B) {
	data := random(84, 256<<10)
	leaves := LeafCVs(nil, data, 0)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if len(CheckBlocks(data, 0, leaves, nil)) > 0 {
			b.Fatal("bad")
		}
	}
}

func BenchmarkParentCV(b *testing.B) {
	var l, r Hash
	for b.Loop() {
		l = ParentCV(l, r)
	}
}

func BenchmarkPartialWrite(b *testing.B) {
	w := newWork(b, 85, 64<<20)
	for _, k := range kinds {
		b.Run(map[Kind]string{SHA256: "sha256", BLAKE3: "blake3"}[k], func(b *testing.B) {
			b.SetBytes(w.size())
			target := filepath.Join(b.TempDir(), "x")
			for b.Loop() {
				p := w.ready(b, target, k)
				for at := int64(0); at < w.size()/BlockSize; at += 64 {
					if _, err := p.Write(at, w.blocks(at, at+64)); err != nil {
						b.Fatal(err)
					}
				}
				if err := p.Remove(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSources(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x")
	stamp := writeFile(b, path, make([]byte, 1<<20))
	s := NewSources(0)
	defer s.Close()
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.ReadAt(path, stamp, p, 4096); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseID(b *testing.B) {
	text := []byte("blake3/" + hexA)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseID(text); err != nil {
			b.Fatal(err)
		}
	}
}
