package swarm

import "sync"

// observers are told about events, in the order in which they subscribed.
type observers[T any] struct {
	mu   sync.Mutex
	last int
	subs []observer[T]
}

type observer[T any] struct {
	id int
	fn func(T)
}

func (o *observers[T]) add(fn func(T)) (cancel func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	id := o.last
	o.subs = append(o.subs[:len(o.subs):len(o.subs)], observer[T]{id, fn}) // a copy: tell reads the old one unlocked
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

func (o *observers[T]) tell(v T) {
	o.mu.Lock()
	subs := o.subs
	o.mu.Unlock()
	for _, s := range subs {
		s.fn(v)
	}
}
