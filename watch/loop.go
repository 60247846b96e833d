package watch

import (
	"errors"
	"fmt"
	"time"

	"sharer/seed"
)

// The loop is the one goroutine that looks. Beside it there is at most one that hashes.

func (w *Watcher) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	hashed := make(chan *root, 1)
	busy := false
	for {
		select {
		case <-w.ctx.Done():
			if busy {
				<-hashed
			}
			return
		case <-w.wake:
		case <-timer.C:
		case r := <-hashed:
			busy, r.hashing = false, false
			w.settled(r)
		}
		next := time.Now().Add(w.o.Rescan)
		for _, r := range w.due() {
			if w.ctx.Err() != nil {
				break
			}
			if at := w.turn(r); at.Before(next) {
				next = at
			}
			if !busy && len(r.hash) > 0 {
				busy, r.hashing = true, true
				w.startHash(r, hashed)
			}
		}
		timer.Reset(max(time.Until(next), 10*time.Millisecond))
	}
}

// due are the roots that are ready.
func (w *Watcher) due() []*root {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ready []*root
	for _, r := range w.roots {
		if r.ready {
			ready = append(ready, r)
		}
	}
	return ready
}

// turn does what is due for a root, and returns when to come again.
func (w *Watcher) turn(r *root) time.Time {
	now := time.Now()
	paths, moved, all, at := r.hinted(now)
	w.unwatch(r, moved)
	if !r.seen || all || !now.Before(r.next) {
		w.walk(r)
		now = time.Now()
	} else if part := w.follow(r, paths); len(part) > 0 {
		begun := time.Now()
		w.look(r, part)
		r.partCost = time.Since(begun)
	}
	r.mu.Lock()
	part, next := r.book.Due(now)
	lost := r.book.Lost(now)
	r.mu.Unlock()
	w.forget(lost)
	if len(part) > 0 {
		w.look(r, part)
		r.mu.Lock()
		_, next = r.book.Due(time.Now()) // what is due again by now comes with the next turn
		r.mu.Unlock()
	}
	for _, t := range []time.Time{r.next, at} {
		if next.IsZero() || !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if !r.hashing && len(r.hash) == 0 {
		if at := w.settled(r); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// hinted takes the hints of a root if they have been gathered for long enough; else it returns when they will be.
func (r *root) hinted(now time.Time) (paths, moved []string, all bool, at time.Time) {
	r.hintMu.Lock()
	defer r.hintMu.Unlock()
	if len(r.dirty) == 0 && !r.all {
		return nil, nil, false, time.Time{}
	}
	pause := max(gather, costTimes*r.partCost)
	if r.all {
		pause = max(gather, costTimes*r.cost)
	}
	if ready := r.at.Add(pause); ready.After(now) {
		return nil, nil, false, ready
	}
	paths, moved, all = r.dirty, r.moved, r.all
	r.dirty, r.moved, r.all = nil, nil, false
	return paths, moved, all, time.Time{}
}

// follow turns hints into a part of the folder; those of files that are not quiet yet are left out.
func (w *Watcher) follow(r *root, paths []string) seed.Part {
	part := seed.Part{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range paths {
		for _, rel := range r.book.Rels(path) {
			if rel != "" && r.book.Hint(rel) {
				part.Add(rel)
			}
		}
	}
	return part
}

// walk looks at all of a root, and says when to do so again.
func (w *Watcher) walk(r *root) {
	begun := time.Now()
	r.mu.Lock()
	base, files, links := r.book.top.path, r.book.Files(), r.opts.FollowLinks
	r.mu.Unlock()
	r.unwatched = w.hints == nil || links // what a link leads to may lie where nobody watches
	if w.hints != nil {
		why := w.hints.unfit(base, files)
		if r.alone = why != ""; r.alone {
			r.unwatched = true
			w.note("%s: %s; it is looked at every %s", r.path, why, w.o.Rescan)
		}
	}
	w.look(r, nil)
	r.seen = true
	r.cost = time.Since(begun)
	r.mu.Lock()
	base = r.book.top.path
	r.mu.Unlock()
	r.hintMu.Lock()
	r.base = base
	r.hintMu.Unlock()
	every := w.o.Rescan
	switch {
	case r.absent: // nobody tells when it comes back: a folder that is made anew, a disk that is plugged in again
		every = min(every, absentEvery)
	case !r.unwatched:
		every *= watchedTimes
	}
	r.next = time.Now().Add(max(every, share*r.cost))
}

// look looks at a part of a root, or with nil at all of it, and does what is to be done.
func (w *Watcher) look(r *root, part seed.Part) {
	now := time.Now()
	r.mu.Lock()
	o := r.opts
	if !r.file {
		o.Only = part
	}
	if r.file { // before it is looked at, as folders are: what comes later is told
		w.watch(r, r.book.top.path)
	}
	r.book.Begin(o.Only)
	seen := false
	err := seed.Look(w.ctx, o, func(s seed.Sight) {
		seen = true
		if s.Folder {
			w.watch(r, s.Path)
		}
		r.book.See(s, now)
	}, r.book.Unseen)
	if err != nil || r.removed {
		r.mu.Unlock()
		return
	}
	if len(o.Only) == 0 {
		r.absent = !seen
	}
	plan := r.book.End(now)
	r.hash = append(r.hash, plan.Hash...)
	r.changed = r.changed || len(plan.Withdraw)+len(plan.Moves) > 0
	if len(plan.Withdraw) > 0 {
		w.lib.Withdraw(plan.Withdraw...)
	}
	r.mu.Unlock()
	w.do(r, plan)
}

// offered notes a file that a scan has offered. A look may have withdrawn it since, as what it was before: what the book says and what is
// offered change together, under the root's mutex, which is held.
func (w *Watcher) offered(r *root, f seed.File) {
	r.book.Offered(f)
	w.lib.Uphold(f)
}

// do carries out the rest of a plan, but for the hashing.
func (w *Watcher) do(r *root, plan Plan) {
	from := make(map[string]string, len(plan.Moves))
	for _, m := range plan.Moves {
		from[m.To] = m.From
	}
	var adopted []seed.File
	if len(plan.Moves) > 0 {
		var err error
		if adopted, err = w.lib.Adopt(plan.Moves); err != nil {
			w.emit(Event{Kind: Failed, Root: r.path, Path: r.path, Err: fmt.Errorf("renamed files: %w", err)})
		}
	}
	r.mu.Lock()
	for i := range adopted {
		adopted[i].Root = r.path
		r.book.Offered(adopted[i])
	}
	for _, m := range plan.Moves {
		r.book.Refused(m.Rel) // those that were not adopted
	}
	removed := r.removed
	r.mu.Unlock()
	if removed { // meanwhile
		w.withdraw(r)
	}
	moved := make(map[string]bool, len(adopted))
	for _, f := range adopted {
		moved[from[f.Path]] = true
		w.emit(Event{Kind: Moved, Root: r.path, File: f, From: from[f.Path]})
	}
	for _, path := range plan.Withdraw {
		if !moved[path] {
			w.emit(Event{Kind: Withdrawn, Root: r.path, Path: path})
		}
	}
}

// startHash hashes in a goroutine of its own what a root has to be hashed.
func (w *Watcher) startHash(r *root, done chan<- *root) {
	r.mu.Lock()
	o := r.opts
	if !r.file {
		o.Only = seed.Part{}
		for _, rel := range r.hash {
			o.Only.Add(rel)
		}
	}
	r.hash = nil
	r.mu.Unlock()
	w.wg.Go(func() {
		_, err := w.lib.Seed(w.ctx, o, func(e seed.Event) {
			switch e.Kind {
			case seed.FileDone:
				w.hashed(r, e.File)
			case seed.Failed:
				if !errors.Is(e.Err, seed.ErrChanging) { // else it is only not quiet yet
					w.emit(Event{Kind: Failed, Root: r.path, Path: e.Path, Err: e.Err})
				}
			}
		})
		if err != nil && w.ctx.Err() == nil {
			w.emit(Event{Kind: Failed, Root: r.path, Path: r.path, Err: err})
		}
		r.mu.Lock()
		r.book.Hashed(time.Now())
		r.mu.Unlock()
		done <- r
	})
}

// hashed takes a file that is offered now. One of a root that was removed meanwhile is not.
func (w *Watcher) hashed(r *root, f seed.File) {
	r.mu.Lock()
	removed := r.removed
	if !removed {
		w.offered(r, f)
		r.changed = true
	}
	r.mu.Unlock()
	if removed {
		w.lib.Withdraw(f.Path)
		return
	}
	w.emit(Event{Kind: Offered, Root: r.path, File: f})
}

// settled says that a root may be listed anew, if something has changed and it is quiet; else it returns when it may be.
func (w *Watcher) settled(r *root) (again time.Time) {
	now := time.Now()
	r.mu.Lock()
	changed := r.changed && !r.removed && len(r.hash) == 0
	if changed {
		again = r.book.Quiet(now)
		changed = again.IsZero()
	}
	if changed {
		r.changed = false
	}
	r.mu.Unlock()
	if changed {
		w.emit(Event{Kind: Settled, Root: r.path})
	}
	return again
}

// note tells a person something, once.
func (w *Watcher) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !w.said[text] {
		w.said[text] = true
		w.emit(Event{Kind: Note, Text: text})
	}
}

// forget removes from the index what has been gone for long.
func (w *Watcher) forget(paths []string) {
	if len(paths) == 0 {
		return
	}
	if err := w.lib.Forget(paths...); err != nil {
		w.emit(Event{Kind: Failed, Path: paths[0], Err: fmt.Errorf("forget: %w", err)})
	}
}
