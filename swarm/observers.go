package swarm

import "sync"

// Observers are told about events, in the order in which they subscribed. The zero value has none.
type Observers[T any] struct {
	mu   sync.Mutex
	last int
	subs []observer[T]
}

type observer[T any] struct {
	id int
	fn func(T)
}

// Add subscribes fn until cancel.
func (o *Observers[T]) Add(fn func(T)) (cancel func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	id := o.last
	o.subs = append(o.subs[:len(o.subs):len(o.subs)], observer[T]{id, fn}) // a copy: Tell reads the old one unlocked
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		var rest []observer[T]
		for _, s := range o.subs {
			if s.id != id {
				rest = append(rest, s)
			}
		}
		o.subs = rest
	}
}

// Tell calls those who have subscribed, on the caller's goroutine.
func (o *Observers[T]) Tell(v T) {
	o.mu.Lock()
	subs := o.subs
	o.mu.Unlock()
	for _, s := range subs {
		s.fn(v)
	}
}

// None says that nobody has subscribed.
func (o *Observers[T]) None() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.subs) == 0
}
