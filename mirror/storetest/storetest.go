// Package storetest says, as tests, what a Store of package mirror has to do, and has one in memory that misbehaves on demand.
//
// What it promises: a store that passes [Run] can hold the contents of mirrors.
//
// What it does not: it is imported by tests alone.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"sharer/chunk"
)

// Store is that of package mirror, whose own tests use this package.
type Store interface {
	Put(ctx context.Context, h chunk.Hash, size int64, r io.ReadSeeker) error
	Range(ctx context.Context, h chunk.Hash, off, n int64) (io.ReadCloser, error)
	Remove(ctx context.Context, h chunk.Hash) error
	Each(ctx context.Context, visit func(h chunk.Hash, size int64) error) error
}

// Text is a content of n bytes that depends on the seed.
func Text(seed byte, n int) ([]byte, chunk.Hash) {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(i>>12) ^ byte(i*7) ^ seed
	}
	sums, err := chunk.Sum(context.Background(), bytes.NewReader(text), int64(n), nil, nil)
	if err != nil {
		panic(err) // of a reader in memory there is none
	}
	return text, sums.BLAKE3
}

// Run tests an empty store.
func Run(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	_, none := Text(99, 1)
	if _, err := s.Range(ctx, none, 0, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a content that is not there: %v", err)
	}
	if err := s.Remove(ctx, none); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	want := map[chunk.Hash]int64{}
	for i, n := range []int{0, 1, 4096, 4097, 1 << 20, 9<<20 + 5} {
		text, h := Text(byte(i), n)
		for range 2 { // once more is no error
			if err := s.Put(ctx, h, int64(n), bytes.NewReader(text)); err != nil {
				t.Fatalf("putting %d bytes: %v", n, err)
			}
		}
		want[h] = int64(n)
		for _, r := range [][2]int{{0, n}, {n / 2, 1}, {n / 3, n - n/3}, {max(n-3, 0), min(n, 3)}} {
			if r[1] == 0 || r[0]+r[1] > n {
				continue
			}
			if got := read(t, s, h, r[0], r[1]); !bytes.Equal(got, text[r[0]:r[0]+r[1]]) {
				t.Errorf("%d bytes from %d of %d are others", r[1], r[0], n)
			}
		}
	}
	list(t, s, want)
	var wg sync.WaitGroup
	for i := range 30 {
		text, h := Text(byte(100+i), 5000+i)
		want[h] = int64(len(text))
		wg.Go(func() {
			if err := s.Put(ctx, h, int64(len(text)), bytes.NewReader(text)); err != nil {
				t.Errorf("together with others: %v", err)
			}
		})
	}
	wg.Wait()
	list(t, s, want)
	enough := errors.New("enough")
	if err := s.Each(ctx, func(chunk.Hash, int64) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a list that is ended: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(ended, none, 1, bytes.NewReader([]byte{0})); err == nil {
		t.Error("put after the end of its context")
	}
	for h := range want {
		if err := s.Remove(ctx, h); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Range(ctx, h, 0, 1); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removed, and there: %v", err)
		}
	}
	list(t, s, nil)
}

func read(t *testing.T, s Store, h chunk.Hash, off, n int) []byte {
	t.Helper()
	in, err := s.Range(t.Context(), h, int64(off), int64(n))
	if err != nil {
		t.Fatalf("%d bytes from %d: %v", n, off, err)
	}
	data, err := io.ReadAll(in)
	if err = errors.Join(err, in.Close()); err != nil {
		t.Fatalf("%d bytes from %d: %v", n, off, err)
	}
	return data
}

func list(t *testing.T, s Store, want map[chunk.Hash]int64) {
	t.Helper()
	got := map[chunk.Hash]int64{}
	last := ""
	err := s.Each(t.Context(), func(h chunk.Hash, size int64) error {
		if h.String() <= last {
			t.Errorf("%s after %s", h, last)
		}
		last = h.String()
		got[h] = size
		return nil
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("a list of %d, want %d: %v", len(got), len(want), err)
	}
}

// Memory is a store in memory.
type Memory struct {
	mu     sync.Mutex
	all    map[chunk.Hash][]byte
	fail   error // what every call returns; nil: it works
	Ranges int   // calls of Range
}

var _ Store = (*Memory)(nil)

// NewMemory returns one that is empty.
func NewMemory() *Memory { return &Memory{all: map[chunk.Hash][]byte{}} }

// Fail has all calls fail from now on; nil: no more.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Damage flips a bit.
func (m *Memory) Damage(h chunk.Hash, at int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[h][at] ^= 1
}

// Len is how many contents there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

// Put is that of Store.
func (m *Memory) Put(ctx context.Context, h chunk.Hash, size int64, r io.ReadSeeker) error {
	text, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err = errors.Join(err, ctx.Err(), m.fail); err == nil && int64(len(text)) != size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		m.all[h] = text
	}
	return err
}

// Range is that of Store.
func (m *Memory) Range(ctx context.Context, h chunk.Hash, off, n int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Ranges++
	if err := errors.Join(ctx.Err(), m.fail); err != nil {
		return nil, err
	}
	text, ok := m.all[h]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(text[min(off, int64(len(text))):min(off+n, int64(len(text)))]))), nil
}

// Remove is that of Store.
func (m *Memory) Remove(ctx context.Context, h chunk.Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(ctx.Err(), m.fail); err != nil {
		return err
	}
	delete(m.all, h)
	return nil
}

// Each is that of Store.
func (m *Memory) Each(ctx context.Context, visit func(chunk.Hash, int64) error) error {
	m.mu.Lock()
	err := errors.Join(ctx.Err(), m.fail)
	sizes := map[chunk.Hash]int64{}
	var hs []chunk.Hash
	for h, text := range m.all {
		hs, sizes[h] = append(hs, h), int64(len(text))
	}
	m.mu.Unlock()
	slices.SortFunc(hs, func(a, b chunk.Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, h := range hs {
		if err == nil {
			err = visit(h, sizes[h])
		}
	}
	return err
}
