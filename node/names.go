package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

const (
	maxAskers    = 16 // of a name, that are told of a newer content unasked: 4096 names, 2 MiB
	maxConflicts = 64 // that are remembered
	maxPushes    = 64 // records that wait to be passed on; the newest is dropped, and asked for again
)

// ErrConflict is wrapped, with an *identity.ConflictError, by the error about a name whose publisher signed two contents under
// one number.
var ErrConflict = errors.New("the publisher contradicts itself")

// nameID is a publisher's name.
type nameID struct {
	key  identity.PublicKey
	name string
}

func idOf(r identity.Record) nameID { return nameID{r.Key, r.Path} }

// names is what publishers' names stand for, as far as it is known here, and who wants to know of it.
type names struct {
	held   *identity.Names
	log    *slog.Logger
	file   namesFile
	news   swarm.Observers[identity.Record]
	pushes chan push
	dirty  chan struct{} // one token: the file is to be written
	pub    sync.Mutex    // one Publish at a time numbers
	unkept bool          // what was published last is not on disk; under pub
	holder func(chunk.ID, netip.AddrPort)

	rollbacks, unwanted, conflicted atomic.Int64

	mu        sync.Mutex
	askers    map[nameID][]netip.AddrPort
	waiting   map[*nameWaiter]struct{}
	conflicts map[nameID]*identity.ConflictError
}

// push is a record that is passed on to some who want it.
type push struct {
	record identity.Record
	to     []netip.AddrPort
}

// nameWaiter hears of answers about some names.
type nameWaiter struct {
	ids  []nameID
	some chan struct{} // one token
}

func newNames(own identity.PublicKey, log *slog.Logger, file string) *names {
	return &names{
		held: identity.NewNames(own), log: log, file: namesFile{path: file}, pushes: make(chan push, maxPushes), dirty: make(chan struct{}, 1),
		askers: map[nameID][]netip.AddrPort{}, waiting: map[*nameWaiter]struct{}{}, conflicts: map[nameID]*identity.ConflictError{},
	}
}

// getLatest answers with the signed message as it came from its publisher, whoever asks.
func (s *names) getLatest(from wire.Sender, e wire.Element) []wire.Message {
	m, err := wire.ParseGetLatest(e.Payload)
	if err != nil {
		return nil
	}
	answer, ok := s.held.Answer(m)
	if !ok {
		return nil
	}
	if from.Proven {
		s.asked(nameID{m.Ed25519, string(m.Path)}, from.Addr)
		if answer, ok = s.held.Answer(m); !ok { // what has come in between was told to those who had asked before
			return nil
		}
	}
	told := []wire.Message{answer}
	if from.Proven { // the newest content may be one that nobody has, if its publisher went away too early
		if r, ok := s.held.Older(m.Ed25519, string(m.Path)); ok && s.held.Here(r) {
			told = append(told, r.Signed)
		}
	}
	return told
}

// asked notes who is told when there is a newer content: of a name that is held only, so strangers fill nothing.
func (s *names) asked(id nameID, a netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	as := slices.DeleteFunc(s.askers[id], func(o netip.AddrPort) bool { return o == a })
	s.askers[id] = append(as[max(0, len(as)+1-maxAskers):], a)
	if len(s.askers) > 4096 { // names that were forgotten meanwhile
		for id := range s.askers {
			if !s.held.Wanted(id.key, id.name) {
				delete(s.askers, id)
			}
		}
	}
}

// offer takes what a signed letter says of a name.
func (s *names) offer(l identity.Letter, from wire.Sender) {
	if !slices.ContainsFunc(l.Elements, func(e wire.Element) bool { return e.Name == wire.Latest{}.Name() }) {
		return
	}
	r, news, err := s.held.Offer(l)
	if conflict, ok := errors.AsType[*identity.ConflictError](err); ok {
		s.conflict(conflict)
		return
	}
	switch {
	case errors.Is(err, identity.ErrRollback):
		s.rollbacks.Add(1)
	case err != nil:
		s.unwanted.Add(1)
	case news:
		s.accepted(r, from.Addr)
	}
	if from.Proven && (err == nil || errors.Is(err, identity.ErrRollback)) { // who passes a name on counts as a holder of its content
		for _, id := range contentsOf(r) {
			s.holder(id, from.Addr)
		}
	}
	if err == nil {
		s.wake(idOf(r))
	}
}

// contentsOf are the ids of what a name stands for, the one by which blocks can be checked first.
func contentsOf(r identity.Record) (ids []chunk.ID) {
	if r.BLAKE3 != nil {
		ids = append(ids, chunk.ID{Kind: chunk.BLAKE3, Hash: *r.BLAKE3})
	}
	return append(ids, chunk.ID{Kind: chunk.SHA256, Hash: r.SHA256})
}

// accepted has a newer record kept, told, and passed on to those who have asked for the name, but for who told us.
func (s *names) accepted(r identity.Record, from netip.AddrPort) {
	select {
	case s.dirty <- struct{}{}:
	default: // it will be written
	}
	s.news.Tell(r)
	s.mu.Lock()
	to := slices.DeleteFunc(slices.Clone(s.askers[idOf(r)]), func(a netip.AddrPort) bool { return a == from })
	s.mu.Unlock()
	s.pass(r, to)
}

func (s *names) pass(r identity.Record, to []netip.AddrPort) {
	if len(to) == 0 {
		return
	}
	select {
	case s.pushes <- push{r, to}:
	default:
	}
}

// conflict reports, once, that a publisher signed two contents under one number.
func (s *names) conflict(c *identity.ConflictError) {
	s.conflicted.Add(1)
	id := idOf(c.Held)
	s.mu.Lock()
	old := s.conflicts[id]
	known := old != nil && old.Held.Seq == c.Held.Seq
	if !known {
		for other := range s.conflicts {
			if len(s.conflicts) < maxConflicts {
				break
			}
			delete(s.conflicts, other)
		}
		s.conflicts[id] = c
	}
	s.mu.Unlock()
	if !known {
		s.log.Error("a publisher signed two contents under one number", "err", c,
			"one", string(wire.AppendMessage(nil, c.Held.Signed)), "other", string(wire.AppendMessage(nil, c.Other.Signed)))
	}
}

// conflictOf is the conflict about what a name stands for now; nil if there is none.
func (s *names) conflictOf(r identity.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conflicts[idOf(r)]; c != nil && c.Held.Seq == r.Seq {
		return fmt.Errorf("%w: %w", ErrConflict, c)
	}
	return nil
}

func (s *names) wait(ids []nameID) *nameWaiter {
	w := &nameWaiter{ids: ids, some: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[w] = struct{}{}
	return w
}

func (s *names) leave(w *nameWaiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, w)
}

func (s *names) wake(id nameID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.waiting {
		if slices.Contains(w.ids, id) {
			select {
			case w.some <- struct{}{}:
			default: // it was told already
			}
		}
	}
}

// Names counts what was said of publishers' names.
type Names struct {
	Known     int   // records that are held
	Rollbacks int64 // older contents that were refused
	Unwanted  int64 // of names that nobody here asked for, or malformed
	Conflicts int64 // two contents under one number
}

func (s *names) stats() Names {
	return Names{Known: len(s.held.Records()), Rollbacks: s.rollbacks.Load(), Unwanted: s.unwanted.Load(), Conflicts: s.conflicted.Load()}
}

// Publish signs that a name of ours stands for a content, and announces it. The number is the time, or one more than the
// last; a name that stands for that content already keeps it. The record is on disk when Publish returns. The error wraps
// identity.ErrName for a bad name.
func (n *Node) Publish(ctx context.Context, name string, sums chunk.Sums) (identity.Record, error) {
	_, end, err := n.begin(ctx)
	if err != nil {
		return identity.Record{}, err
	}
	defer end()
	s := n.names
	s.pub.Lock()
	defer s.pub.Unlock()
	own := n.Key()
	if err := s.held.Want(own, name); err != nil {
		return identity.Record{}, err
	}
	last := int64(-1)
	r, known := s.held.Of(own, name)
	if known {
		last = r.Seq
	}
	if !known || r.SHA256 != sums.SHA256 {
		seq, err := identity.NextSeq(last, time.Now())
		if err != nil {
			return identity.Record{}, err
		}
		blake3 := [32]byte(sums.BLAKE3)
		letter, err := n.letters.opener.Key.Publish(name, sums.SHA256, &blake3, seq)
		if err != nil {
			return identity.Record{}, err
		}
		if r, _, err = s.held.Offer(letter); err != nil {
			return identity.Record{}, err
		}
		s.unkept = true
	}
	if s.unkept { // it may be that of an earlier call
		if err := s.save(); err != nil {
			return identity.Record{}, fmt.Errorf("the name is not published, since it cannot be kept: %w", err)
		}
		s.unkept = false
		s.accepted(r, netip.AddrPort{})
	}
	var best []netip.AddrPort
	for _, p := range n.swarm.Best(maxAskers) {
		best = append(best, p.Addr)
	}
	s.pass(r, best)
	return r, nil
}

// OnLatest has f called with each newer record of a name that is held, until stop. f must not block.
func (n *Node) OnLatest(f func(identity.Record)) (stop func()) { return n.names.news.Add(f) }

// Records returns what publishers' names stand for, as far as it is known here.
func (n *Node) Records() []identity.Record { return n.names.held.Records() }
