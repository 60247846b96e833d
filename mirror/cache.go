package mirror

import (
	"context"
	"sync"
	"time"

	"sharer/chunk"
)

const (
	windowLen   = 1 << 20 // bytes, whole blocks, that are read of a store at once: a request there costs as much time as a MiB
	maxWindows  = 32      // that are kept: 32 MiB
	windowFetch = 20 * time.Second
)

type windowKey struct {
	h chunk.Hash
	i int64 // begins at i*windowLen
}

// window is one that is there, or comes: then done is not closed yet.
type window struct {
	done chan struct{}
	data []byte
	err  error
}

// cache are the parts of contents that were read last. Who wants one that another waits for waits with it.
type cache struct {
	mu    sync.Mutex
	all   map[windowKey]*window
	order []windowKey // used last at the end
}

func newCache() cache { return cache{all: map[windowKey]*window{}} }

// get returns a window; fetch brings it, in the goroutine of the first who asks, for at most windowFetch, also when that one
// has gone: others may wait.
func (w *cache) get(ctx context.Context, k windowKey, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	one, there := w.all[k]
	if !there {
		one = &window{done: make(chan struct{})}
		w.all[k] = one
	}
	w.usedLocked(k)
	w.mu.Unlock()
	if there {
		select {
		case <-one.done:
			return one.data, one.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	far, cancel := context.WithTimeout(context.WithoutCancel(ctx), windowFetch)
	defer cancel()
	one.data, one.err = fetch(far)
	close(one.done)
	if one.err != nil {
		w.drop(k, one)
	}
	return one.data, one.err
}

// usedLocked moves a window to the end, and lets the first go when there are too many.
func (w *cache) usedLocked(k windowKey) {
	for i, o := range w.order {
		if o == k {
			w.order = append(w.order[:i], w.order[i+1:]...)
			break
		}
	}
	if w.order = append(w.order, k); len(w.order) > maxWindows {
		delete(w.all, w.order[0])
		w.order = append(w.order[:0], w.order[1:]...)
	}
}

func (w *cache) drop(k windowKey, one *window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[k] == one {
		w.removeLocked(func(o windowKey) bool { return o == k })
	}
}

// forget lets all of a content go.
func (w *cache) forget(h chunk.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(func(o windowKey) bool { return o.h == h })
}

func (w *cache) removeLocked(which func(windowKey) bool) {
	rest := w.order[:0]
	for _, o := range w.order {
		if which(o) {
			delete(w.all, o)
			continue
		}
		rest = append(rest, o)
	}
	w.order = rest
}
