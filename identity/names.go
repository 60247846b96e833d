package identity

import (
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"sharer/wire"
)

const (
	maxName   = 255       // bytes of a name
	maxNames  = 4096      // names that are held, two records each: 32 MiB with the next
	maxLatest = 4096      // bytes of a signed Latest
	maxSeq    = 1<<53 - 1 // what every JSON reader takes for an integer
)

var (
	ErrName     = errors.New("not a usable name")
	ErrLatest   = errors.New("identity: not one Latest of its own signer")
	ErrUnwanted = errors.New("identity: a name that nobody here asked for")
	ErrRollback = errors.New("identity: an older content of a name")
	ErrSeq      = errors.New("identity: the highest sequence number is reached")
	ErrFull     = errors.New("identity: 4096 names of our own are held")
)

// ConflictError says that a publisher signed two contents under one number.
type ConflictError struct{ Held, Other Record }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("0x%s signed two contents for %q under %d: %x and %x", e.Held.Key, e.Held.Path, e.Held.Seq, e.Held.SHA256, e.Other.SHA256)
}

// Record is what a name stands for.
type Record struct {
	Key    PublicKey
	Path   string // see CheckName
	SHA256 [32]byte
	BLAKE3 *[32]byte          // as the publisher claims; nil: not said
	Seq    int64              // 0 to 2^53-1
	Signed wire.SignedMessage // what it was read from, to be passed on as it is
}

// CheckName returns an error that wraps ErrName unless a name is a relative path of at most
// 255 bytes of UTF-8, its parts parted by single slashes, none of them "." or "..", without
// backslashes, control characters or what reorders text.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrName, len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: no UTF-8", ErrName)
	case strings.ContainsFunc(name, func(r rune) bool {
		return unicode.Is(unicode.C, r) || unicode.In(r, unicode.Zl, unicode.Zp) || r == '\\' || r == utf8.RuneError
	}):
		return fmt.Errorf("%w: %+q has characters that a path must not have", ErrName, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: %q has a part %q", ErrName, name, part)
		}
	}
	return nil
}

// NextSeq numbers a new content of a name: max(last+1, now in Unix seconds), so that a
// republished old file wins, whatever its time and whatever the clock has become. last is
// the highest number that was seen of the name, -1 for none.
func NextSeq(last int64, now time.Time) (int64, error) {
	if last >= maxSeq {
		return 0, ErrSeq
	}
	return min(max(last+1, now.Unix(), 0), maxSeq), nil
}

// Publish signs what a name stands for.
func (k *Key) Publish(name string, sha256 [32]byte, blake3 *[32]byte, seq int64) (Letter, error) {
	if err := CheckName(name); err != nil {
		return Letter{}, err
	}
	if seq < 0 || seq > maxSeq {
		return Letter{}, ErrSeq
	}
	return Verify(k.Sign(wire.Latest{Ed25519: k.public, Path: []byte(name), SHA256: sha256, Seq: seq, BLAKE3: blake3}))
}

// ReadLatest returns what a signed letter says of a name. The letter must hold exactly one
// Latest, by its own signer. The record shares nothing with the letter.
func ReadLatest(l Letter) (Record, error) {
	if l.signed == nil || len(l.Payload) > maxLatest {
		return Record{}, ErrLatest
	}
	r := Record{Key: l.From, Seq: -1}
	for _, e := range l.Elements {
		if e.Name != (wire.Latest{}).Name() {
			continue
		}
		m, err := wire.ParseLatest(e.Payload)
		if err != nil {
			return Record{}, err
		}
		if r.Seq >= 0 || PublicKey(m.Ed25519) != l.From || m.Seq > maxSeq {
			return Record{}, ErrLatest
		}
		r.Path, r.SHA256, r.BLAKE3, r.Seq = string(m.Path), m.SHA256, m.BLAKE3, m.Seq
		if err := CheckName(r.Path); err != nil {
			return Record{}, err
		}
	}
	if r.Seq < 0 {
		return Record{}, ErrLatest
	}
	r.Signed = *l.signed
	r.Signed.Payload = bytes.Clone(l.signed.Payload)
	return r, nil
}

// Names holds what names stand for: those that somebody here asked for, or published. What
// others push is taken for these only, so that strangers fill nothing. The name asked for
// the longest ago makes room, and with it goes the memory of its number; what we published
// never does. One of ours that was only asked for does: anybody who may ask could fill it up.
//
// Beside what a name stands for an older record is kept, for when the content of the newest cannot be had from anybody: the last one whose content is here,
// else the newest of those that were refused or replaced.
type Names struct {
	own  PublicKey
	Here func(Record) bool // says whether a content is here; nil: none is. Set before the first use; it is called with the names locked

	mu    sync.Mutex
	held  map[nameID]*list.Element // of *entry
	queue list.List                // asked for last in front
}

type nameID struct {
	key  PublicKey
	path string
}

type entry struct {
	id     nameID
	record Record
	known  bool // there is a record
	older  Record
	had    bool // there is an older one
}

// keep takes r for the older record, if it is of more use than the one that is.
func (e *entry) keep(r Record, here func(Record) bool) {
	if e.had && (r.Seq <= e.older.Seq || here != nil && here(e.older) && !here(r)) {
		return
	}
	e.older, e.had = r, true
}

// NewNames holds nothing. own is the key whose names are kept for ever.
func NewNames(own PublicKey) *Names { return &Names{own: own, held: map[nameID]*list.Element{}} }

// Want makes room for a name, so that answers about it are taken. The error wraps ErrKey or ErrName, or is ErrFull.
func (n *Names) Want(k PublicKey, path string) error {
	if err := k.Check(); err != nil {
		return err
	}
	if err := CheckName(path); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id := nameID{k, path}
	if e := n.held[id]; e != nil {
		n.queue.MoveToFront(e)
		return nil
	}
	if n.queue.Len() >= maxNames {
		oldest := n.queue.Back()
		for oldest != nil && oldest.Value.(*entry).known && oldest.Value.(*entry).id.key == n.own {
			oldest = oldest.Prev()
		}
		if oldest == nil {
			return ErrFull
		}
		delete(n.held, oldest.Value.(*entry).id)
		n.queue.Remove(oldest)
	}
	n.held[id] = n.queue.PushFront(&entry{id: id})
	return nil
}

// Offer takes what a signed letter says of a name, and reports whether it is news. It is
// refused with ErrRollback when its number is lower than one that was seen, and with a
// *ConflictError when the number is the same and the content is not: then the first stays.
func (n *Names) Offer(l Letter) (r Record, news bool, err error) {
	if r, err = ReadLatest(l); err != nil {
		return Record{}, false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.held[nameID{r.Key, r.Path}]
	if e == nil {
		return r, false, ErrUnwanted
	}
	held := e.Value.(*entry)
	switch {
	case !held.known || r.Seq > held.record.Seq:
		if held.known {
			held.keep(held.record, n.Here)
		}
		held.record, held.known = r, true
		return r, true, nil
	case r.Seq < held.record.Seq:
		held.keep(r, n.Here)
		return r, false, ErrRollback
	case r.SHA256 != held.record.SHA256:
		return r, false, &ConflictError{Held: held.record, Other: r}
	}
	return held.record, false, nil
}

// Of returns what a name stands for, as far as it is known here.
func (n *Names) Of(k PublicKey, path string) (Record, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.held[nameID{k, path}]
	if e == nil || !e.Value.(*entry).known {
		return Record{}, false
	}
	return e.Value.(*entry).record, true
}

// Older returns the older record that is kept beside what a name stands for.
func (n *Names) Older(k PublicKey, path string) (Record, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.held[nameID{k, path}]
	if e == nil || !e.Value.(*entry).had {
		return Record{}, false
	}
	return e.Value.(*entry).older, true
}

// Records returns what is known, the name asked for the longest ago first.
func (n *Names) Records() (rs []Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for e := n.queue.Back(); e != nil; e = e.Prev() {
		if held := e.Value.(*entry); held.known {
			rs = append(rs, held.record)
		}
	}
	return rs
}

// Wanted reports whether a name is held, known or not.
func (n *Names) Wanted(k PublicKey, path string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.held[nameID{k, path}] != nil
}

// Answer is what GetLatest is answered with: the signed message as it came.
func (n *Names) Answer(m wire.GetLatest) (wire.SignedMessage, bool) {
	if len(m.Path) > maxName {
		return wire.SignedMessage{}, false
	}
	r, ok := n.Of(m.Ed25519, string(m.Path))
	return r.Signed, ok
}
