package mirror

import (
	"context"
	"slices"
	"time"

	"sharer/identity"
)

// aliveFor is for how long a mirror counts after it has signed its status, which it does each ten minutes.
const aliveFor = 25 * time.Minute

// Heard notes that a mirror was there at a time.
func (s *Set) Heard(k identity.PublicKey, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.alive[k]; known || len(s.alive) < maxSet {
		s.alive[k] = at
	}
}

// listenWait is how long a mirror waits at most until the others of its group were asked: without them it would carry
// everything, and begin with fetching it.
const listenWait = time.Minute

// Asked notes that a mirror of a group was asked whether it is there, whatever it has said.
func (s *Set) Asked(k identity.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) < maxClaims {
		s.asked[k] = true
	}
	close(s.more)
	s.more = make(chan struct{})
}

// listened waits until all of a group were asked, where somebody asks.
func (s *Set) listened(ctx context.Context, spec Spec) error {
	keys, err := spec.group()
	if err != nil || !s.cfg.Listens || spec.Rules.Copies == 0 {
		return err
	}
	timer := time.NewTimer(listenWait)
	defer timer.Stop()
	for {
		s.mu.Lock()
		missing, more := false, s.more
		for _, k := range keys {
			missing = missing || !s.asked[k] && k != s.cfg.Self
		}
		s.mu.Unlock()
		if !missing {
			return nil
		}
		select {
		case <-more:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Group are all mirrors that share the load with some of ours.
func (s *Set) Group() (ks []identity.PublicKey) {
	for _, m := range s.Mirrors() {
		of, err := m.Look().Spec.group()
		if err != nil {
			continue // it was checked when it was added
		}
		ks = append(ks, of...)
	}
	slices.SortFunc(ks, func(a, b identity.PublicKey) int { return slices.Compare(a[:], b[:]) })
	return slices.DeleteFunc(slices.Compact(ks), func(k identity.PublicKey) bool { return k == s.cfg.Self })
}

// GroupChanged says whether somebody shares the load, or does not any more, since it was asked last.
func (s *Set) GroupChanged() bool {
	var alive []identity.PublicKey
	for _, m := range s.Mirrors() {
		ks, err := s.group(m.Look().Spec)
		if err != nil {
			continue // as in Group
		}
		alive = append(alive, ks...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := !slices.Equal(alive, s.shared)
	s.shared = alive
	return changed
}

// group are the mirrors that share the load with one of ours: those of its list that were heard of lately.
func (s *Set) group(spec Spec) (alive []identity.PublicKey, err error) {
	keys, err := spec.group()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if at, heard := s.alive[k]; heard && s.now().Sub(at) <= aliveFor && !s.beginsLocked(k, spec.Link()) {
			alive = append(alive, k)
		}
	}
	return alive, nil
}

// beginsLocked says whether a mirror has said that it has no version yet: what it will carry nobody may drop before it does.
func (s *Set) beginsLocked(k identity.PublicKey, link string) bool {
	return slices.ContainsFunc(s.claims[k], func(c claim) bool { return c.link == link && c.id == "" })
}
