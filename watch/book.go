package watch

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/seed"
)

const (
	// keepGone is how long a file that is gone is remembered for the case that it comes back under another name.
	keepGone = 30 * time.Second
	// maxGone bounds them: some 150 bytes each, 10 MB. A folder of more that is renamed is partly read again.
	maxGone = 1 << 16
	// maxUnknown bounds what one look may fail to look at; with more, nothing counts as gone in that look.
	maxUnknown = 1000
	// maxWait is the longest time after which a file that could not be hashed is tried again.
	maxWait = 10 * time.Minute
)

// Plan is what has to be done after a look.
type Plan struct {
	Withdraw []string    // paths that changed or are gone: at once
	Moves    []seed.Move // files whose path changed and nothing else, perhaps
	Hash     []string    // what is new and quiet, below the folder
}

// Book is what is known of one path that is shared: which files, as which they were hashed, and which are new and not
// quiet yet. It is pure: it is told what looks and scans found, and when, and says what to do. A file costs about
// 70 bytes and its name.
type Book struct {
	settle time.Duration
	key    maphash.Seed

	top   *shelf
	odd   map[string]string // paths of files behind links, by Rel
	links map[string]string // Rel of folders behind links, by path
	files int               // offered

	pass    uint32
	looks   int // that have begun, up to 2
	only    seed.Part
	unknown map[string]bool // what this look could not look at, by path
	fresh   []string        // what this look saw first, by Rel
	plan    Plan
	sunk    int // files that this look found gone

	left     time.Time // when a look last found files gone that were not renamed, or may have come too late for that
	restless time.Time // since when it is not quiet; zero: it was quiet when it was asked last

	waiting map[string]*ripening // by Rel: not quiet yet, being hashed, or failed
	again   seed.Part            // to be looked at at once
	gone    map[uint64]departed  // by mark
	order   []uint64             // of gone, oldest first
	lost    []string             // paths of those that are remembered no more
}

// shelf is a folder.
type shelf struct {
	path  string
	files map[string]entry
	subs  map[string]*shelf
	pass  uint32
}

// entry is a file. mark is a hash of the stamp with which it is offered, or waits.
type entry struct {
	mark       uint64
	pass       uint32
	offered    bool
	executable bool
}

// ripening is a file that is not offered, and may be.
type ripening struct {
	path    string
	stamp   chunk.Stamp
	since   time.Time // of its last change, or of the last try
	tries   int       // that failed
	hashing bool
	touched bool // while it was hashed
	was     bool // it was offered, as something else
}

// departed is a file that was offered and is gone.
type departed struct {
	path string
	at   time.Time
}

// NewBook returns an empty book of the folder at base. A file is hashed after it has been the same for the time settle.
func NewBook(base string, settle time.Duration) *Book {
	return &Book{
		settle: settle, key: maphash.MakeSeed(), top: newShelf(base), odd: map[string]string{}, links: map[string]string{},
		waiting: map[string]*ripening{}, again: seed.Part{}, gone: map[uint64]departed{},
	}
}

func newShelf(path string) *shelf {
	return &shelf{path: path, files: map[string]entry{}, subs: map[string]*shelf{}}
}

// Files is the number of files that are offered.
func (b *Book) Files() int { return b.files }

// mark is a hash of a stamp. Two stamps of one mark are told apart by who acts on a move.
func (b *Book) mark(s chunk.Stamp) uint64 {
	var p [40]byte
	for i, v := range []uint64{uint64(s.Size), uint64(s.Mtime), uint64(s.Ctime), s.Ino, s.Dev} {
		binary.LittleEndian.PutUint64(p[8*i:], v)
	}
	return maphash.Bytes(b.key, p[:])
}

// split takes a path below the folder apart.
func split(rel string) (dir, name string) {
	i := strings.LastIndexByte(rel, '/')
	return rel[:max(i, 0)], rel[i+1:]
}

// shelf finds a folder, and makes it and those above it if they are not there.
func (b *Book) shelf(rel string) *shelf {
	at := b.top
	for rel != "" {
		name, rest, _ := strings.Cut(rel, "/")
		sub := at.subs[name]
		if sub == nil {
			sub = newShelf(filepath.Join(at.path, name))
			at.subs[name] = sub
		}
		at, rel = sub, rest
	}
	return at
}

// find is shelf for looking: nil if it is not known.
func (b *Book) find(rel string) *shelf {
	at := b.top
	for rel != "" && at != nil {
		name, rest, _ := strings.Cut(rel, "/")
		at, rel = at.subs[name], rest
	}
	return at
}

// Offered takes a file that a scan has recorded.
func (b *Book) Offered(f seed.File) {
	dir, name := split(f.Rel)
	in := b.shelf(dir)
	if dir != "" && len(in.files) == 0 && len(in.subs) == 0 {
		in.path = filepath.Dir(f.Path) // perhaps behind a link
	}
	if f.Path != filepath.Join(in.path, name) {
		b.odd[f.Rel] = f.Path
	}
	if !in.files[name].offered {
		b.files++
	}
	in.files[name] = entry{mark: b.mark(f.Stamp), pass: b.pass, offered: true, executable: f.Executable}
	if r := b.waiting[f.Rel]; r != nil && r.touched {
		b.again.Add(f.Rel)
	}
	delete(b.waiting, f.Rel)
}

// Hashed is told when a scan has ended: what it should have hashed and did not waits for another try.
func (b *Book) Hashed(now time.Time) {
	for rel, r := range b.waiting {
		if !r.hashing {
			continue
		}
		if r.touched {
			b.again.Add(rel)
		}
		r.hashing, r.touched = false, false
		r.tries++
		r.since = now
	}
}

// wait is how long a file has to be quiet.
func (b *Book) wait(r *ripening) time.Duration {
	return min(b.settle<<min(r.tries, 10), max(maxWait, b.settle))
}

// quietSince is the time of a file's last change, as its own times say; where they lie ahead of the clock, now.
func quietSince(s chunk.Stamp, now time.Time) time.Time {
	if last := time.Unix(0, max(s.Mtime, s.Ctime)); !last.After(now) {
		return last
	}
	return now
}

// Begin begins a look at a part of the folder; empty: at all of it.
func (b *Book) Begin(only seed.Part) {
	b.pass++
	b.looks = min(b.looks+1, 2)
	b.sunk = 0
	b.only, b.plan, b.fresh, b.unknown = only, Plan{}, nil, map[string]bool{}
}

// See takes what the look found.
func (b *Book) See(s seed.Sight, now time.Time) {
	if s.Folder {
		in := b.shelf(s.Rel)
		in.path, in.pass = s.Path, b.pass
		if s.Rel != "" && s.Path != filepath.Join(b.top.path, filepath.FromSlash(s.Rel)) {
			b.links[s.Path] = s.Rel
		}
		return
	}
	dir, name := split(s.Rel)
	in := b.shelf(dir)
	in.pass = b.pass
	e, known := in.files[name]
	mark := b.mark(s.Stamp)
	if known && e.offered && e.mark == mark {
		e.pass, e.executable = b.pass, s.Executable
		in.files[name] = e
		return
	}
	if known && e.offered {
		b.plan.Withdraw = append(b.plan.Withdraw, b.path(in, s.Rel, name))
		b.files--
	}
	in.files[name] = entry{mark: mark, pass: b.pass, executable: s.Executable}
	if s.Path != filepath.Join(in.path, name) {
		b.odd[s.Rel] = s.Path
	}
	b.ripen(s, known && e.offered || b.replaces(now), now)
}

// ripen takes a file that is not offered as it is now.
func (b *Book) ripen(s seed.Sight, was bool, now time.Time) {
	r := b.waiting[s.Rel]
	switch {
	case r == nil:
		r = &ripening{path: s.Path, stamp: s.Stamp, since: quietSince(s.Stamp, now), was: was}
		b.waiting[s.Rel] = r
		b.fresh = append(b.fresh, s.Rel)
	case r.stamp != s.Stamp && r.hashing:
		r.touched = true
		return
	case r.stamp != s.Stamp:
		r.stamp, r.since, r.tries = s.Stamp, quietSince(s.Stamp, now), 0
	}
	if !r.hashing && now.Sub(r.since) >= b.wait(r) {
		r.hashing = true
		b.plan.Hash = append(b.plan.Hash, s.Rel)
	}
}

// Unseen takes what the look could not look at. What is gone or forbidden is not offered any more; what failed for another
// reason stays as it is.
func (b *Book) Unseen(path string, err error) {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && len(b.unknown) <= maxUnknown {
		b.unknown[path] = true
	}
}

// End ends a look: what it should have seen and did not is gone.
func (b *Book) End(now time.Time) Plan {
	if len(b.unknown) <= maxUnknown {
		b.sweep(b.top, "", b.only, now)
	}
	for _, rel := range b.fresh {
		r := b.waiting[rel]
		if r == nil {
			continue
		}
		mark := b.mark(r.stamp)
		if d, ok := b.gone[mark]; ok && d.path != r.path {
			delete(b.gone, mark)
			b.lost = append(b.lost, d.path)
			r.hashing = true
			b.plan.Moves = append(b.plan.Moves, seed.Move{From: d.path, To: r.path, Rel: rel, Stamp: r.stamp, Executable: b.executable(rel)})
		}
	}
	if len(b.plan.Moves) > 0 {
		b.plan.Hash = b.withoutMoved(b.plan.Hash)
	}
	if b.sunk > len(b.plan.Moves) {
		b.left = now
	}
	plan := b.plan
	b.only, b.plan, b.fresh, b.unknown = nil, Plan{}, nil, nil
	return plan
}

// executable says whether a file may be executed, as it was seen last.
func (b *Book) executable(rel string) bool {
	dir, name := split(rel)
	in := b.find(dir)
	return in != nil && in.files[name].executable
}

// withoutMoved leaves out what need not be read.
func (b *Book) withoutMoved(rels []string) []string {
	moved := make(map[string]bool, len(b.plan.Moves))
	for _, m := range b.plan.Moves {
		moved[m.Rel] = true
	}
	var rest []string
	for _, rel := range rels {
		if !moved[rel] {
			rest = append(rest, rel)
		}
	}
	return rest
}

// sweep takes away what a look at a part of in did not see.
func (b *Book) sweep(in *shelf, rel string, only seed.Part, now time.Time) {
	if b.unknown[in.path] {
		return
	}
	if in.pass != b.pass {
		b.drop(in, rel, now)
		return
	}
	check := func(name string, part seed.Part) {
		if e, ok := in.files[name]; ok && e.pass != b.pass && !b.unknown[filepath.Join(in.path, name)] {
			b.depart(in, join(rel, name), name, now)
		}
		if sub := in.subs[name]; sub != nil {
			b.sweep(sub, join(rel, name), part, now)
			if sub.pass != b.pass && !b.unknown[sub.path] && len(sub.files) == 0 && len(sub.subs) == 0 {
				delete(in.subs, name)
				delete(b.links, sub.path)
			}
		}
	}
	if len(only) > 0 {
		for name, part := range only {
			check(name, part)
		}
		return
	}
	for name := range in.files {
		check(name, nil)
	}
	for name := range in.subs {
		check(name, nil)
	}
}

// drop takes away all of a folder.
func (b *Book) drop(in *shelf, rel string, now time.Time) {
	for name := range in.files {
		b.depart(in, join(rel, name), name, now)
	}
	for name, sub := range in.subs {
		b.drop(sub, join(rel, name), now)
		if len(sub.files) == 0 && len(sub.subs) == 0 {
			delete(in.subs, name)
			delete(b.links, sub.path)
		}
	}
}

// depart takes away one file. One that is being hashed stays until that has ended.
func (b *Book) depart(in *shelf, rel, name string, now time.Time) {
	if r := b.waiting[rel]; r != nil && r.hashing {
		r.touched = true
		return
	}
	e := in.files[name]
	if r := b.waiting[rel]; r != nil && r.was {
		b.sunk++
	}
	delete(in.files, name)
	delete(b.waiting, rel)
	path := b.path(in, rel, name)
	delete(b.odd, rel)
	if !e.offered {
		return
	}
	b.files--
	b.sunk++
	b.plan.Withdraw = append(b.plan.Withdraw, path)
	b.remember(e.mark, path, now)
}

func (b *Book) path(in *shelf, rel, name string) string {
	if odd, ok := b.odd[rel]; ok {
		return odd
	}
	return filepath.Join(in.path, name)
}

// join appends a name to a path below the folder.
func join(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}
