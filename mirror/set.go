package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/identity"
)

// Config is what the mirrors of a node need of it.
type Config struct {
	Dir     string // a folder for each mirror
	Blobs   *Blobs
	Remote  *Remote // where contents lie instead, and arrive in Blobs only; then versions are manifests, without trees of files; may be nil
	Fetcher Fetcher
	Names   Names
	Shelf   Shelf
	Deny    Denier                // nil: nothing is denied
	Self    identity.PublicKey    // who we are to other mirrors
	Pinned  func(chunk.Hash) bool // nil: nothing is
	Holders func(chunk.Hash) int  // others that have told that they have a content; nil: not known

	HTTP     func(ctx context.Context, p Plain) error // nil: there are no such sources
	HTTPDown func() int64                             // bytes a second that the node lets in; 0: no limit; below: nothing; nil: no limit
	Disk     func(dir string) (Disk, error)           // nil: asked of the system
	// Changed is called when a mirror has a new version, or has been added or removed; nil: nobody.
	Changed func(ctx context.Context)
	Listens bool             // somebody tells by Asked who of the groups was asked: until then it is not known who shares the load
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now
}

// Set is all mirrors of a node. Its methods are safe for concurrent use.
type Set struct {
	cfg      Config
	contents Contents
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
	hookCtx  context.Context // ends the commands that run
	stopHook context.CancelFunc
	hookWG   sync.WaitGroup
	hookTurn chan struct{} // a place for each command that runs
	grace    sync.Once     // begins when all have been told to end
	unhook   *time.Timer   // its end
	turns    chan struct{} // one token: who has it may bring contents, or take them away
	garbage  atomic.Bool   // contents may be there that no version has
	lacking  bool          // a mirror could not be opened: nobody knows which contents it has
	changes  sync.Mutex    // of Add and Remove, one at a time

	mu     sync.Mutex
	all    map[string]*Mirror
	linked map[string]bool // folders that contents can be linked into
	alive  map[identity.PublicKey]time.Time
	claims map[identity.PublicKey][]claim
	asked  map[identity.PublicKey]bool
	more   chan struct{}        // closed when there is more in asked
	shared []identity.PublicKey // as GroupChanged has seen it
}

// maxSet bounds the mirrors of a node: two goroutines and 100 KiB each.
const maxSet = 1000

var (
	// ErrNoMirror is wrapped by the error for a name that no mirror has.
	ErrNoMirror = errors.New("no such mirror")
	// ErrExists is wrapped by the error for a name that another mirror has.
	ErrExists = errors.New("the name is taken")
)

// OpenSet opens the mirrors that were added in earlier runs. Those that cannot be opened are left out, and named by notes.
func OpenSet(c Config) (s *Set, notes []string, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Disk == nil {
		c.Disk = diskSpace
	}
	s = &Set{cfg: c, turns: make(chan struct{}, 1), hookTurn: make(chan struct{}, hookJobs), all: map[string]*Mirror{}, linked: map[string]bool{}, alive: map[identity.PublicKey]time.Time{}, claims: map[identity.PublicKey][]claim{}, asked: map[identity.PublicKey]bool{}, more: make(chan struct{})}
	s.turns <- struct{}{}
	if s.contents = c.Blobs; c.Remote != nil {
		s.contents = c.Remote
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.hookCtx, s.stopHook = context.WithCancel(context.Background())
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), scrubFile) { // and what a crash left of it
			continue // or it would pass for a mirror that cannot be read, and nothing be collected any more
		}
		dir := filepath.Join(c.Dir, e.Name())
		f, err := loadFile(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was being added, or removed
		}
		if err == nil {
			err = s.start(dir, f)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("mirror %s: %v", e.Name(), err))
			s.lacking = true
		}
	}
	s.garbage.Store(true) // an unclean end may have left some
	return s, notes, nil
}

func (s *Set) now() time.Time {
	if s.cfg.Now != nil {
		return s.cfg.Now()
	}
	return time.Now()
}

// start lets a mirror run.
func (s *Set) start(dir string, f saved) error {
	m, err := openMirror(s, dir, f.Spec)
	if err != nil {
		return err
	}
	m.state, m.trace, m.scrub = f.State, f.Trace, f.Scrub
	if !m.spec.follows() && m.current.Zero() && len(m.state.Past) == 0 {
		m.state.See(Head{ID: m.spec.ID}, s.now())
	}
	if err := m.offerPages(s.ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[f.Spec.Name] != nil {
		return fmt.Errorf("%w: %s", ErrExists, f.Spec.Name)
	}
	m.life, m.stop = context.WithCancel(s.ctx)
	s.all[f.Spec.Name] = m
	s.wg.Go(func() { m.run(m.life) })
	s.hookWG.Go(func() { m.runHooks(s.hookTurn) })
	return nil
}

// Add makes a mirror, and lets it run.
func (s *Set) Add(spec Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	s.changes.Lock()
	defer s.changes.Unlock()
	s.mu.Lock()
	n := len(s.all)
	err := error(nil)
	for _, m := range s.all {
		other := m.Look().Spec
		switch {
		case other.Name == spec.Name && other.Link() == spec.Link():
			err = fmt.Errorf("%w: the mirror %s carries this", ErrExists, other.Name)
		case other.Name == spec.Name:
			err = fmt.Errorf("%w: the mirror %s carries something else, %s", ErrExists, other.Name, other.Link())
		case within(other.Dir, spec.Dir) || within(spec.Dir, other.Dir):
			err = fmt.Errorf("%s is where the mirror %s has its tree", spec.Dir, other.Name)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if n >= maxSet {
		return fmt.Errorf("more than %d mirrors", maxSet)
	}
	dir := filepath.Join(s.cfg.Dir, spec.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m := &Mirror{set: s, dir: dir, spec: spec}
	if err := m.saveLocked(); err != nil { // nobody else knows it yet
		return err
	}
	if err := s.start(dir, saved{Spec: spec}); err != nil {
		return errors.Join(err, os.Remove(filepath.Join(dir, fileName)))
	}
	added, err := s.Find(spec.Name)
	if err == nil {
		added.log(Event{What: "add", Text: spec.Link()})
		s.changed(s.ctx)
	}
	return err
}

// within says whether a path is a folder or lies in it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Find returns a mirror by its name.
func (s *Set) Find(name string) (*Mirror, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.all[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoMirror, name)
}

// Mirrors are all, by their names.
func (s *Set) Mirrors() []*Mirror {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := make([]*Mirror, 0, len(s.all))
	for _, m := range s.all {
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b *Mirror) int { return cmp.Compare(filepath.Base(a.dir), filepath.Base(b.dir)) })
	return ms
}

// Remove ends a mirror. Its tree stays unless data is to go too; contents that no other mirror has go in any case.
func (s *Set) Remove(ctx context.Context, name string, data bool) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	m, err := s.Find(name)
	if err != nil {
		return err
	}
	m.stop()
	<-m.ended
	<-m.work // whoever syncs has been told to stop; nobody begins again
	m.hooks.close()
	m.hooks.stop()
	<-m.hooks.ended
	m.mu.Lock()
	m.gone = true
	m.mu.Unlock()
	s.mu.Lock()
	delete(s.all, name)
	s.mu.Unlock()
	var paths []string
	entries, err := os.ReadDir(m.pages.dir)
	for _, e := range entries {
		paths = append(paths, filepath.Join(m.pages.dir, e.Name()))
	}
	err = errors.Join(err, s.cfg.Shelf.Withdraw(append(paths, filepath.Join(m.dir, pageName))))
	if data {
		m.tree.ops.ending = nil // nobody knows of it at the next start
		err = errors.Join(err, m.tree.remove())
	}
	if !data && within(m.dir, m.tree.dir) {
		err = errors.Join(err, os.Remove(filepath.Join(m.dir, fileName))) // the tree is inside
	} else {
		err = errors.Join(err, os.RemoveAll(m.dir))
	}
	err = errors.Join(err, s.collectSoon())
	s.changed(ctx)
	return err
}

// changed is called when something is to be told to others, by whoever has the turn.
func (s *Set) changed(ctx context.Context) {
	if s.cfg.Changed != nil {
		s.cfg.Changed(ctx)
	}
}

// Pushed has the mirrors of a name look at it: somebody has told of a newer version.
func (s *Set) Pushed(r identity.Record) {
	for _, m := range s.Mirrors() {
		m.mu.Lock()
		mine := m.spec.Key == r.Key && m.spec.Path == r.Path && !m.state.Paused
		m.mu.Unlock()
		if mine {
			m.poke()
		}
	}
}

// Reconsider has all mirrors plan again: what is denied, or who shares the load, is another than it was.
func (s *Set) Reconsider() {
	for _, m := range s.Mirrors() {
		m.mu.Lock()
		m.asked++
		m.mu.Unlock()
		m.poke()
	}
}

// SetRules changes the rules of a mirror; what is carried follows.
func (s *Set) SetRules(name string, r Rules) error {
	m, err := s.Find(name)
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	m.mu.Lock()
	m.spec.Rules = r
	m.asked++
	if m.state.Held != "" && !m.state.Held.approvable() {
		m.state.Held, m.state.Why = "", ""
	}
	err = m.saveLocked()
	m.mu.Unlock()
	if err == nil {
		m.log(Event{What: "rules"})
	}
	m.poke()
	return err
}

// Stop tells all mirrors to end, and waits for nothing: Close does. The commands of hooks have a second from now on.
func (s *Set) Stop() {
	s.stop()
	s.grace.Do(func() { s.unhook = time.AfterFunc(hookGrace, s.stopHook) })
}

// Close ends all mirrors. What they were about goes on with the next OpenSet; the commands of hooks have a second to end.
func (s *Set) Close() {
	s.Stop()
	s.wg.Wait()
	for _, m := range s.Mirrors() {
		select {
		case <-m.work: // who asked for a sync has been told to stop
			m.work <- struct{}{}
		case <-m.hooks.ctx.Done(): // it is being removed: whoever does that has the work for good
		}
		m.hooks.close()
	}
	s.hookWG.Wait()
	s.unhook.Stop()
	s.stopHook()
}
