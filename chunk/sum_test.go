package chunk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	zeebo "github.com/zeebo/blake3"
)

func TestSumOracles(t *testing.T) {
	data := random(5, 5<<20)
	sizes := append(sizesAround(300000), sumBuffer, sumBuffer+1, sumParallel-1, sumParallel, sumParallel+1, 3*sumBuffer*2+5, 5<<20)
	for _, n := range sizes {
		p := data[:n]
		var done int
		var m memory
		s, err := Sum(context.Background(), iotest.HalfReader(bytes.NewReader(p)), int64(n), &m, func(k int) { done += k })
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if s.Size != int64(n) || s.SHA256 != sha256.Sum256(p) || s.BLAKE3 != zeebo.Sum256(p) || done != n {
			t.Errorf("%d bytes: %+v, progress %d", n, s, done)
		}
		if int64(len(m.b)) != ShapeOf(s.Size).FileSize() {
			t.Errorf("%d bytes: tree of %d", n, len(m.b))
		}
		if bare, err := Sum(context.Background(), bytes.NewReader(p), int64(n), nil, nil); err != nil || bare != s {
			t.Errorf("%d bytes, without a tree: %+v, %v", n, bare, err)
		}
	}
}

// fullDisk is a WriterAt that fails after some writes.
type fullDisk struct{ left int }

var errFull = errors.New("no space")

func (d *fullDisk) WriteAt(p []byte, off int64) (int, error) {
	if d.left--; d.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestSumFails(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{0, 1, 4096, 100000, 2 << 20} {
		p := make([]byte, n)
		if _, err := Sum(ctx, bytes.NewReader(p), int64(n)+1, nil, nil); err != ErrSize {
			t.Errorf("%d bytes, one too few: %v", n, err)
		}
		if _, err := Sum(ctx, bytes.NewReader(append(p, 0)), int64(n), nil, nil); err != ErrSize {
			t.Errorf("%d bytes, one too many: %v", n, err)
		}
		broken := io.MultiReader(bytes.NewReader(p), iotest.ErrReader(errFull))
		if _, err := Sum(ctx, broken, int64(n)+1, nil, nil); !errors.Is(err, errFull) {
			t.Errorf("%d bytes, then an error: %v", n, err)
		}
		broken = io.MultiReader(bytes.NewReader(p), iotest.ErrReader(errFull))
		if _, err := Sum(ctx, broken, int64(n), nil, nil); !errors.Is(err, errFull) {
			t.Errorf("%d bytes, then an error at the end: %v", n, err)
		}
		for left := range 3 {
			_, err := Sum(ctx, bytes.NewReader(p), int64(n), &fullDisk{left}, nil)
			if err != nil && !errors.Is(err, errFull) || err == nil && left == 0 {
				t.Errorf("%d bytes, %d writes: %v", n, left, err)
			}
		}
		stopped, stop := context.WithCancel(ctx)
		if n == 2<<20 {
			if _, err := Sum(stopped, bytes.NewReader(p), int64(n), nil, func(int) { stop() }); err != context.Canceled {
				t.Errorf("stopped on the way: %v", err)
			}
		}
		stop()
		if _, err := Sum(stopped, bytes.NewReader(p), int64(n), nil, nil); err != context.Canceled {
			t.Errorf("%d bytes, stopped: %v", n, err)
		}
	}
	for _, size := range []int64{-1, MaxSize + 1} {
		if _, err := Sum(ctx, bytes.NewReader(nil), size, nil, nil); err != ErrSize {
			t.Errorf("size %d: %v", size, err)
		}
	}
}
