package chunk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrSize is returned when a content has fewer or more bytes than was said.
var ErrSize = errors.New("content is not of the size said")

// Sums are the two names of a content.
type Sums struct {
	SHA256, BLAKE3 Hash
	Size           int64 // bytes
}

const (
	sumBuffer   = 256 << 10 // bytes read at once: fits the second-level cache, so that two hashes read it from there
	sumBuffers  = 3         // in use by one Sum: one being read and hashed, one under the tree, one between
	sumParallel = 1 << 20   // bytes from which the tree is worth a goroutine of its own
)

var sumPool = sync.Pool{New: func() any { return new([sumBuffer]byte) }}

// Sum reads size bytes of r, once, and returns both ids. When tree is not nil the tree file is written to it, level
// by level, the header last; after an error what it holds is worthless. Memory is independent of size (under 1 MiB
// and 4 KiB a level); a content of a MiB and more is hashed on two goroutines. progress, if not nil, is called in the
// caller's goroutine with the bytes newly done.
//
// The error is ErrSize when r ends early, goes on behind size, or size is no size at all; ctx.Err(); or that of r or
// tree.
func Sum(ctx context.Context, r io.Reader, size int64, tree io.WriterAt, progress func(n int)) (Sums, error) {
	if !validSize(size) {
		return Sums{}, ErrSize
	}
	b := newTreeBuilder(ShapeOf(size), tree)
	sha := sha256.New()
	take := func(p []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, p); err != nil {
			return readError(err)
		}
		sha.Write(p)
		if progress != nil {
			progress(len(p))
		}
		return nil
	}
	run := sumSerial
	if size >= sumParallel {
		run = sumPipelined
	}
	if err := run(size, take, b.add); err != nil {
		return Sums{}, err
	}
	if err := atEnd(r); err != nil {
		return Sums{}, err
	}
	if err := b.finish(); err != nil {
		return Sums{}, err
	}
	s := Sums{BLAKE3: b.root, Size: size}
	sha.Sum(s.SHA256[:0])
	return s, nil
}

// sumSerial fills one buffer after the other by take and hands it to add. An empty content is one empty buffer.
func sumSerial(size int64, take, add func(p []byte) error) error {
	buf := sumPool.Get().(*[sumBuffer]byte)
	defer sumPool.Put(buf)
	for {
		p := buf[:min(sumBuffer, size)]
		if err := take(p); err != nil {
			return err
		}
		if err := add(p); err != nil {
			return err
		}
		if size -= int64(len(p)); size == 0 {
			return nil
		}
	}
}

// sumPipelined is sumSerial with add in a second goroutine, which has ended when it returns.
func sumPipelined(size int64, take, add func(p []byte) error) error {
	work := make(chan []byte, sumBuffers)
	done := make(chan error, sumBuffers) // one value for each buffer given back
	var bufs [sumBuffers]*[sumBuffer]byte
	for i := range bufs {
		bufs[i] = sumPool.Get().(*[sumBuffer]byte)
		defer sumPool.Put(bufs[i])
	}
	go func() {
		defer close(done)
		var failed error
		for p := range work {
			if failed == nil {
				failed = add(p)
			}
			done <- failed
		}
	}()
	var err error
	sent := 0
	for i := 0; size > 0 && err == nil; i++ {
		if sent == sumBuffers { // buffers come back in the order in which they went out
			err = <-done
			sent--
		}
		p := bufs[i%sumBuffers][:min(sumBuffer, size)]
		if err == nil {
			err = take(p)
		}
		if err == nil {
			work <- p
			sent++
			size -= int64(len(p))
		}
	}
	close(work)
	for e := range done { // also waits for the goroutine
		if err == nil {
			err = e
		}
	}
	return err
}

func readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrSize
	}
	return fmt.Errorf("read content: %w", err)
}

// atEnd returns ErrSize when r has a further byte.
func atEnd(r io.Reader) error {
	var one [1]byte
	if _, err := io.ReadFull(r, one[:]); err == nil {
		return ErrSize
	} else if err != io.EOF {
		return fmt.Errorf("read content: %w", err)
	}
	return nil
}
