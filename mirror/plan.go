package mirror

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"sharer/chunk"
	"sharer/folder"
)

// Files are the files of a version in the order of their paths, as folder.Each calls with them.
type Files func(visit func(folder.File) error) error

// None are the files of no version.
func None(func(folder.File) error) error { return nil }

// Disk is what there is where contents are kept.
type Disk struct {
	Free, Total int64 // bytes
	Inodes      int64 // that are free; -1: without a limit, or not known
}

// Situation is all that a plan depends on.
type Situation struct {
	Rules    Rules
	Shared   Shared
	Old      Files // the current version's manifest; None: there is none
	New      Files
	OldHas   func(folder.File) bool // a file of Old is carried
	Has      func(chunk.Hash) bool  // the content is there
	Pinned   func(chunk.Hash) bool  // nil: nothing is
	Denied   func(folder.File) bool // nil: nothing is
	Disk     Disk
	TreeDisk Disk // where the tree is; without Links
	Links    bool // the tree costs no bytes beside the contents
	Allowed  bool // the operator has approved this very version
}

// Reason is why a version is held or a mirror frozen.
type Reason string

// The reasons.
const (
	HeldQuota    Reason = "quota"      // more than the operator gives
	HeldDisk     Reason = "disk"       // more than there is
	HeldInodes   Reason = "inodes"     // more files than the file system takes
	HeldDelete   Reason = "max-delete" // takes away more files than one version may
	HeldRollback Reason = "rollback"   // an earlier version under a new number
	Conflict     Reason = "conflict"   // two manifests under one number
)

// approvable: the operator may say that it is right. What does not fit fits no better for that.
func (r Reason) approvable() bool { return r == HeldDelete || r == HeldRollback || r == Conflict }

// full: there is not enough of something.
func (r Reason) full() bool { return r == HeldQuota || r == HeldDisk || r == HeldInodes }

// Plan is what a new version would change. Bytes are of contents, each counted once.
type Plan struct {
	Files, Carried int // of the new version, and of those the ones that are carried
	Denied         int
	Size           int64 // of what is carried
	Adds, Changes  int   // of the files that the patterns mean
	Deletes, Had   int   // of those that they meant in the old version; a file that is emptied counts as deleted
	Fetch          int   // contents that are not there
	FetchBytes     int64
	Held           Reason // "": it may be done
	Why            string // in words
	Same           bool   // it carries what the old version does, name by name

	carry bits
}

// Has says whether the i-th file of the new version is carried.
func (p *Plan) Has(i int) bool { return p.carry.has(i) }

// Of are those of a version's files that are carried.
func (p *Plan) Of(files Files) Files {
	return func(visit func(folder.File) error) error {
		i := 0
		return files(func(f folder.File) error {
			i++
			if !p.carry.has(i - 1) {
				return nil
			}
			return visit(f)
		})
	}
}

// bits are a set of small numbers.
type bits []uint64

func (b bits) has(i int) bool { return i>>6 < len(b) && b[i>>6]>>(i&63)&1 == 1 }

func (b *bits) set(i int) {
	for i>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

func (b bits) clear(i int) {
	if i>>6 < len(b) {
		b[i>>6] &^= 1 << (i & 63)
	}
}

// Make looks at a new version: it reads the manifests, changes nothing, and takes 32 bytes a file. The error is one of
// the manifests.
func Make(s Situation) (*Plan, error) {
	p := &Plan{}
	if err := p.choose(s); err != nil {
		return nil, err
	}
	if err := p.compare(s); err != nil {
		return nil, err
	}
	err := p.measure(s)
	return p, err
}

// choose marks what is carried when there is room for all.
func (p *Plan) choose(s Situation) error {
	return s.New(func(f folder.File) error {
		i := p.Files
		p.Files++
		switch {
		case s.Denied != nil && s.Denied(f):
			p.Denied++
		case s.Rules.wants(f) && s.Shared.Carries(f.BLAKE3):
			p.carry.set(i)
		}
		return nil
	})
}

// compare walks both versions together, by path.
func (p *Plan) compare(s Situation) error {
	next, stop := pull(s.Old)
	defer stop()
	old, more, err := next()
	same := true
	newAt := 0
	pass := func() error { // what only the old version has
		if s.Rules.wants(old) {
			p.Had++
			p.Deletes++
		}
		same = same && !s.OldHas(old)
		old, more, err = next()
		return err
	}
	if err != nil {
		return err
	}
	err2 := s.New(func(f folder.File) error {
		for more && old.Path < f.Path {
			if err := pass(); err != nil {
				return err
			}
		}
		i := newAt
		newAt++
		wants := s.Rules.wants(f)
		if !more || old.Path != f.Path {
			if wants {
				p.Adds++
			}
			same = same && !p.carry.has(i)
			return nil
		}
		if wants {
			p.Had++
			if old.BLAKE3 != f.BLAKE3 {
				p.Changes++
			}
			if f.Size == 0 && old.Size > 0 {
				p.Deletes++
			}
		}
		same = same && old == f && s.OldHas(old) == p.carry.has(i)
		old, more, err = next()
		return err
	})
	for err2 == nil && more {
		err2 = pass()
	}
	p.Same = same
	return err2
}

// want is a content that is carried. Keys are 64 keyed bits of its hash: nobody outside can make two the same, and
// by chance that happens to two of a million once in thirty million plans.
type want struct {
	key  uint64
	size int64
}

var wantSeed = maphash.MakeSeed()

func keyOf(h chunk.Hash) uint64 { return maphash.Bytes(wantSeed, h[:]) }

// measure counts bytes and finds what is in the way.
func (p *Plan) measure(s Situation) error {
	if s.Rules.OnFull != FullHold && s.Rules.Quota > 0 {
		if err := p.fit(s); err != nil {
			return err
		}
	}
	all := make([]want, 0, 2*p.Files) // one buffer for all three counts: of a million files 32 MB
	i := 0
	err := s.New(func(f folder.File) error {
		if p.carry.has(i) {
			p.Carried++
			all = append(all, want{keyOf(f.BLAKE3), f.Size})
		}
		i++
		return nil
	})
	if err != nil {
		return err
	}
	all = unique(all)
	p.Size = sum(all)
	// Both versions are there while one follows the other.
	both := all
	err = s.Old(func(f folder.File) error {
		if s.OldHas(f) {
			both = append(both, want{keyOf(f.BLAKE3), f.Size})
		}
		return nil
	})
	if err != nil {
		return err
	}
	together := sum(unique(both))
	missing := both[:0]
	i = 0
	err = s.New(func(f folder.File) error {
		if p.carry.has(i) && !s.Has(f.BLAKE3) {
			missing = append(missing, want{keyOf(f.BLAKE3), f.Size})
		}
		i++
		return nil
	})
	if err != nil {
		return err
	}
	missing = unique(missing)
	p.Fetch, p.FetchBytes = len(missing), sum(missing)
	p.judge(s, together)
	return nil
}

func unique(w []want) []want {
	slices.SortFunc(w, func(a, b want) int { return cmp.Compare(a.key, b.key) })
	return slices.CompactFunc(w, func(a, b want) bool { return a.key == b.key })
}

func sum(w []want) (n int64) {
	for _, one := range w {
		n += one.size
	}
	return n
}

// fit takes files away until the quota holds them.
func (p *Plan) fit(s Situation) error {
	type candidate struct {
		at    int32
		first bool // pinned
		mtime int64
		size  int64
		key   uint64
	}
	var all []candidate
	i := 0
	err := s.New(func(f folder.File) error {
		if p.carry.has(i) {
			c := candidate{at: int32(i), mtime: f.Mtime, size: f.Size, key: keyOf(f.BLAKE3)}
			c.first = s.Pinned != nil && s.Pinned(f.BLAKE3)
			all = append(all, c)
		}
		i++
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		switch {
		case a.first != b.first && a.first:
			return -1
		case a.first != b.first:
			return 1
		case s.Rules.OnFull == FullNewest:
			return cmp.Compare(b.mtime, a.mtime)
		}
		return 0
	})
	taken, left := map[uint64]struct{}{}, s.Rules.Quota
	for _, c := range all {
		_, there := taken[c.key]
		switch {
		case there:
		case c.size <= left:
			taken[c.key] = struct{}{}
			left -= c.size
		default:
			p.carry.clear(int(c.at))
		}
	}
	return nil
}

// judge says what holds the version. together are the bytes of old and new.
func (p *Plan) judge(s Situation, together int64) {
	hold := func(r Reason, format string, args ...any) {
		if p.Held == "" {
			p.Held, p.Why = r, fmt.Sprintf(format, args...)
		}
	}
	if allowed := s.Rules.MaxDelete.Of(int64(p.Had)); int64(p.Deletes) > allowed && !s.Allowed {
		hold(HeldDelete, "%d of %d files would go, and one version may take %d away", p.Deletes, p.Had, allowed)
	}
	if q := s.Rules.Quota; q > 0 {
		if p.Size > q {
			hold(HeldQuota, "%d bytes are wanted, the quota is %d", p.Size, q)
		}
		if s.Rules.OnFull == FullHold && together > q {
			hold(HeldQuota, "both versions have %d bytes while one follows the other, the quota is %d", together, q)
		}
	}
	full := func(need int64, d Disk) {
		if keep := s.Rules.MinFree.Of(d.Total); need > 0 && need+keep > d.Free {
			hold(HeldDisk, "%d bytes are needed and %d stay free; there are %d", need, keep, d.Free)
		}
	}
	switch {
	case s.Links:
		full(p.FetchBytes, s.Disk)
	case s.Disk == s.TreeDisk:
		full(p.FetchBytes+p.Size, s.Disk)
	default:
		full(p.FetchBytes, s.Disk)
		full(p.Size, s.TreeDisk)
	}
	// Each file has a name in the tree, at worst a copy, and each content one in the store.
	if names := int64(p.Carried + p.Fetch); s.Disk.Inodes >= 0 && names > s.Disk.Inodes {
		hold(HeldInodes, "%d files are needed, and the file system takes %d", names, s.Disk.Inodes)
	}
}

// String is one line for people.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d files, %d bytes; %d added, %d changed, %d deleted; %d contents to fetch, %d bytes",
		p.Carried, p.Files, p.Size, p.Adds, p.Changes, p.Deletes, p.Fetch, p.FetchBytes)
	if p.Denied > 0 {
		fmt.Fprintf(&b, "; %d denied", p.Denied)
	}
	if p.Held != "" {
		fmt.Fprintf(&b, "; held: %s: %s", p.Held, p.Why)
	}
	return b.String()
}

var errStopped = errors.New("mirror: nobody reads on")
