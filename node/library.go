package node

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"sharer/chunk"
	"sharer/deny"
	"sharer/index"
	"sharer/transfer"
	"sharer/wire"
)

// library finds what may be served: the seeded files of this session, downloads
// whose blocks are verified, and finished ones.
type library struct {
	state   *state // nil: nothing is seeded
	log     *slog.Logger
	deny    *deny.Book // nil: nothing is denied
	sources *chunk.Sources

	ctx context.Context // of the node: making a tree again ends with it

	elsewhere atomic.Pointer[elsewhere] // nil: all is on this machine

	mu      sync.RWMutex
	offered map[uint64]struct{}             // hashes of the paths seeded in this session: some 20 bytes a file
	roots   []string                        // what Seed was given, absolute, for listings
	isRoot  map[string]bool                 // the same
	served  map[string]*atomic.Int64        // bytes that were read to be sent, by root, and by the path of a download
	fetched map[chunk.ID]transfer.Content   // finished downloads
	coming  map[chunk.ID][]transfer.Content // running ones: asked last, and the first alone; another one waits for it
	closed  bool
	kept    []kept       // oldest first
	saw     wire.Listing // fetched last; no ID: nothing
	advised wire.Listing // what the user recommends; no ID: nothing
	recent  map[chunk.ID]transfer.Content
	order   []chunk.ID // of recent, oldest first

	pages     []readPage // of manifests that were read, oldest first
	pageBytes int        // of them, at most keptPages

	pagesMu   sync.Mutex            // taken before mu
	manifests map[string][][]string // paths of the pages of the last manifests of each root, oldest first
}

// maxRecent bounds the lookups that are kept at hand: a content costs about 200 bytes.
const maxRecent = 512

func newLibrary(ctx context.Context, s *state, log *slog.Logger) *library {
	l := &library{
		ctx: ctx, state: s, log: log, offered: make(map[uint64]struct{}), sources: chunk.NewSources(0),
		fetched: make(map[chunk.ID]transfer.Content),
		coming:  make(map[chunk.ID][]transfer.Content),
		recent:  make(map[chunk.ID]transfer.Content),
		served:  make(map[string]*atomic.Int64),
		isRoot:  make(map[string]bool),
	}
	if s != nil { // a node that only fetches has none
		l.sources.Borrow(s.trees.Spare)
		s.trees.Borrow(l.sources.Spare)
	}
	return l
}

var _ transfer.Source = (*library)(nil)

// pathSeed keys the hashes of paths.
var pathSeed = maphash.MakeSeed()

func pathHash(path string) uint64 { return maphash.String(pathSeed, path) }

// offer lets the content of a file be served. What an earlier session has indexed
// is not offered for that: the index remembers hashes, not permissions.
func (l *library) offer(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offered[pathHash(path)] = struct{}{}
}

// offerRoot lets a path that was given be listed. What lies below another root is listed with that.
func (l *library) offerRoot(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rootLocked(path) == path && !l.isRoot[path] {
		l.roots, l.isRoot[path] = append(l.roots, path), true
	}
}

// Find returns what may be served under id.
func (l *library) Find(id chunk.ID) (transfer.Content, bool) {
	c, ok := l.find(id)
	if ok && l.denies(id, c) {
		return nil, false
	}
	return c, ok
}

// holds says whether all of a content is here and offered, by one of its ids.
func (l *library) holds(ids []chunk.ID) bool {
	for _, id := range ids {
		if c, ok := l.Find(id); ok && c.Size() >= 0 && len(c.Have(0, 1)) == 0 {
			return true
		}
	}
	return false
}

func (l *library) find(id chunk.ID) (transfer.Content, bool) {
	l.mu.RLock()
	c, ok := l.fetched[id]
	if !ok {
		c, ok = l.recent[id]
	}
	var coming transfer.Content
	arrives := len(l.coming[id]) > 0
	if arrives {
		coming = l.coming[id][0]
	}
	l.mu.RUnlock()
	if ok || l.state == nil && !arrives {
		return c, ok
	}
	var s *seeded
	if l.state != nil {
		s = l.seeded(id)
	}
	if s == nil {
		return coming, arrives
	}
	if id.Kind == chunk.BLAKE3Tree {
		c = &seededTree{seeded: s, shape: chunk.ShapeOf(s.content.Size)}
	} else {
		c = s
	}
	if !l.remember(id, c, s.places) {
		return l.find(id)
	}
	return c, true
}

// seeded looks an id up in the index; nil when no place of it belongs to this session.
func (l *library) seeded(id chunk.ID) *seeded {
	content, places, err := l.state.index.Lookup(id)
	if err != nil {
		return nil
	}
	l.mu.RLock()
	places = slices.DeleteFunc(places, func(p index.Place) bool { return !l.offersLocked(p.Path) })
	l.mu.RUnlock()
	if len(places) == 0 {
		return nil
	}
	return &seeded{library: l, content: content, places: places, served: l.counter(places[0].Path)}
}

func (l *library) offersLocked(path string) bool {
	_, ok := l.offered[pathHash(path)]
	return ok
}

// remember keeps what was looked up at hand. It does not, and says so, when some of it was withdrawn since: who withdraws forgets
// what is at hand then, and this would be served for ever.
func (l *library) remember(id chunk.ID, c transfer.Content, places []index.Place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(places, func(p index.Place) bool { return !l.offersLocked(p.Path) }) {
		return false
	}
	if _, ok := l.recent[id]; !ok {
		if len(l.order) >= maxRecent {
			delete(l.recent, l.order[0])
			l.order = append(l.order[:0], l.order[1:]...)
		}
		l.order = append(l.order, id)
	}
	l.recent[id] = c
	return true
}

// withdraw forgets a file that changed: it is not offered any more. One that was offered anew since s was found stays: of that
// only what is kept at hand is forgotten, or who asks next would end the offering of what was just written.
func (l *library) withdraw(s *seeded, place index.Place) {
	l.sources.Forget(place.Path)
	gone, err := l.state.index.ForgetPlace(place)
	if err != nil {
		return // the stamp keeps it from being served in any case
	}
	if gone {
		l.mu.RLock()
		shared := l.isRoot[l.rootLocked(place.Path)]
		l.mu.RUnlock()
		if shared { // not what leaves the store, or was fetched and taken away
			l.log.Warn("not offered any more: it has changed or is gone", "path", place.Path)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uncountLocked(place.Path)
	for _, id := range []chunk.ID{
		{Kind: chunk.SHA256, Hash: s.content.SHA256}, {Kind: chunk.BLAKE3, Hash: s.content.BLAKE3}, {Kind: chunk.BLAKE3Tree, Hash: s.content.BLAKE3},
	} {
		delete(l.recent, id)
		l.order = slices.DeleteFunc(l.order, func(o chunk.ID) bool { return o == id })
	}
}

// arrives serves what a download has so far, until done is called.
func (l *library) arrives(id chunk.ID, c transfer.Content) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.coming[id] = append(l.coming[id], c)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.coming[id] = slices.DeleteFunc(l.coming[id], func(o transfer.Content) bool { return o == c }); len(l.coming[id]) == 0 {
			delete(l.coming, id)
		}
	}
}

// maxKept bounds the finished downloads that are served, two descriptors each.
const maxKept = 64

// kept is a finished download that is served from its open descriptors.
type kept struct {
	path     string // of the file
	partial  *chunk.Partial
	contents map[chunk.ID]transfer.Content
}

// keep serves a finished download until close, or until it is the oldest of more
// than maxKept.
func (l *library) keep(path string, p *chunk.Partial, sums chunk.Sums) error {
	k := kept{path: path, partial: p, contents: make(map[chunk.ID]transfer.Content)}
	content := &fetching{partial: p, blake3: sums.BLAKE3, served: l.counter(path)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return p.Close()
	}
	offer := func(kind chunk.Kind, h chunk.Hash, c transfer.Content) {
		if h == (chunk.Hash{}) {
			return
		}
		id := chunk.ID{Kind: kind, Hash: h}
		l.fetched[id] = c
		k.contents[id] = c
	}
	offer(chunk.SHA256, sums.SHA256, content)
	offer(chunk.BLAKE3, sums.BLAKE3, content)
	if p.Tree() != nil {
		offer(chunk.BLAKE3Tree, sums.BLAKE3, &fetchingTree{partial: p})
	}
	l.kept = append(l.kept, k)
	l.saw = k.listing()
	if len(l.kept) <= maxKept {
		return nil
	}
	oldest := l.kept[0]
	l.kept = append(l.kept[:0], l.kept[1:]...)
	return l.letGoLocked(oldest)
}

// letGoLocked ends the serving of a finished download from its descriptors.
func (l *library) letGoLocked(k kept) error {
	for id, c := range k.contents {
		if l.fetched[id] == c { // not a later copy's
			delete(l.fetched, id)
		}
	}
	return k.partial.Close()
}

func (l *library) close() error {
	l.sources.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var err error
	for _, k := range l.kept {
		err = errors.Join(err, k.partial.Close())
	}
	return err
}

// seeded is a content that lies in one or more files of the user.
type seeded struct {
	library *library
	content index.Content
	served  *atomic.Int64

	mu     sync.Mutex
	places []index.Place
}

var _ transfer.Content = (*seeded)(nil)

func (s *seeded) Size() int64                   { return s.content.Size }
func (s *seeded) Have(int64, int) []chunk.Range { return nil }
func (s *seeded) BLAKE3() (chunk.Hash, bool)    { return s.content.BLAKE3, true }

// ReadAt reads, for a peer, from the first place that still is what was hashed.
func (s *seeded) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.read(p, off)
	s.served.Add(int64(n))
	return n, err
}

// plain reads the same for the node itself.
func (s *seeded) plain() io.ReaderAt { return readerAt(s.read) }

type readerAt func(p []byte, off int64) (int, error)

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

func (s *seeded) read(p []byte, off int64) (int, error) {
	for {
		s.mu.Lock()
		if len(s.places) == 0 {
			s.mu.Unlock()
			return 0, chunk.ErrChanged
		}
		place := s.places[0]
		s.mu.Unlock()
		if e := s.library.elsewhereOf(place.Path); e != nil {
			return e.ReadContent(s.library.ctx, s.content.BLAKE3, s.content.Size, p, off)
		}
		n, err := s.library.sources.ReadAt(place.Path, place.Stamp, p, off)
		if err == nil || err == io.EOF {
			return n, err
		}
		if !gone(err) {
			return 0, err
		}
		s.library.withdraw(s, place)
		s.mu.Lock()
		if len(s.places) > 0 && s.places[0] == place {
			s.places = s.places[1:]
		}
		s.mu.Unlock()
	}
}

// ReadNow reads from the first place what is in memory.
func (s *seeded) ReadNow(p []byte, off int64) (int, error) {
	s.mu.Lock()
	if len(s.places) == 0 {
		s.mu.Unlock()
		return 0, chunk.ErrChanged
	}
	place := s.places[0]
	s.mu.Unlock()
	if s.library.elsewhereOf(place.Path) != nil {
		return 0, chunk.ErrWouldWait
	}
	n, err := s.library.sources.ReadNow(place.Path, place.Stamp, p, off)
	if err == nil {
		s.served.Add(int64(n))
	}
	return n, err
}

// gone says whether an error means that a path is not the file any more that
// was hashed; a disk that fails or descriptors that run out do not.
func gone(err error) bool {
	return errors.Is(err, chunk.ErrChanged) || errors.Is(err, chunk.ErrNotRegular) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// seededTree is the tree file of a seeded content.
type seededTree struct {
	*seeded
	shape chunk.Shape
}

func (t *seededTree) Size() int64 { return t.shape.FileSize() }

func (t *seededTree) ReadAt(p []byte, off int64) (int, error) {
	if e := t.elsewhere(); e != nil {
		return e.ReadTree(t.content.BLAKE3, t.content.Size, p, off)
	}
	content := func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(t.plain(), 0, t.content.Size)), nil
	}
	return t.library.state.trees.ReadAt(t.library.ctx, t.content.BLAKE3, t.content.Size, p, off, content)
}

func (t *seededTree) ReadNow(p []byte, off int64) (int, error) {
	if t.elsewhere() != nil {
		return 0, chunk.ErrWouldWait
	}
	return t.library.state.trees.ReadNow(t.content.BLAKE3, t.content.Size, p, off)
}

// fetching is a content that arrives, or has arrived.
type fetching struct {
	partial *chunk.Partial
	blake3  chunk.Hash // zero: not known
	served  *atomic.Int64
}

var _ transfer.Content = (*fetching)(nil)

func (f *fetching) Size() int64 {
	if size, _ := f.partial.Size(); f.partial.Proven() {
		return size
	}
	return -1
}

// plain reads for the node itself.
func (f *fetching) plain() io.ReaderAt { return f.partial }

func (f *fetching) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.partial.ReadAt(p, off)
	f.served.Add(int64(n))
	return n, err
}

func (f *fetching) ReadNow(p []byte, off int64) (int, error) {
	n, err := f.partial.ReadNow(p, off)
	if err == nil {
		f.served.Add(int64(n))
	}
	return n, err
}

func (f *fetching) BLAKE3() (chunk.Hash, bool) { return f.blake3, f.blake3 != chunk.Hash{} }

func (f *fetching) Have(off int64, n int) []chunk.Range {
	held, all := f.partial.HeldAround(off, n)
	if all {
		return nil
	}
	return held
}

// fetchingTree is the tree file of a content that arrives. It is served once the size
// is proven: at a size that is only claimed it is a consistent tree of another height.
type fetchingTree struct{ partial *chunk.Partial }

var _ transfer.Content = (*fetchingTree)(nil)

func (t *fetchingTree) Size() int64 {
	if tree := t.proven(); tree != nil {
		return tree.Shape().FileSize()
	}
	return -1
}

func (t *fetchingTree) proven() *chunk.Tree {
	if !t.partial.Proven() {
		return nil
	}
	return t.partial.Tree()
}

func (t *fetchingTree) Have(int64, int) []chunk.Range { return nil }

func (t *fetchingTree) BLAKE3() (chunk.Hash, bool) { return chunk.Hash{}, false }

func (t *fetchingTree) ReadAt(p []byte, off int64) (int, error) {
	tree := t.proven()
	if tree == nil {
		return 0, chunk.ErrNotHeld
	}
	return tree.ReadAt(p, off)
}

func (t *fetchingTree) ReadNow(p []byte, off int64) (int, error) {
	tree := t.proven()
	if tree == nil {
		return 0, chunk.ErrNotHeld
	}
	return tree.ReadNow(p, off)
}
