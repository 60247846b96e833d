package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Mirror is one that runs. Its methods are safe for concurrent use.
type Mirror struct {
	set   *Set
	dir   string // what is kept about it
	pages pages
	kick  chan struct{} // one token: something is new
	// one token: there is a new version, and what its publisher has signed beside it may be new too
	others chan struct{}
	life   context.Context // ends when the mirror is removed, or the set closed
	stop   context.CancelFunc
	ended  chan struct{}

	work  chan struct{} // one token; who has it owns the tree, and changes the version
	tree  *Tree
	hooks *hookQueue

	viewing sync.Mutex // of making view

	mu       sync.Mutex
	spec     Spec
	state    State
	trace    Trace
	scrub    Scrub
	current  Version // zero: none
	doing    Doing
	done     int64 // bytes, while it fetches
	total    int64
	failed   string // why the last attempt came to nothing
	hook     string // what the last hook that failed said
	next     time.Time
	failures int    // in a row
	asked    uint64 // how often it was said that what is carried may be something else than what is there
	heeded   uint64 // asked as it was when what is there was planned
	pushed   time.Time
	gone     bool                    // removed: nothing is written any more
	halt     context.CancelCauseFunc // ends the sync that runs, until it changes the tree; nil: none
	view     *View                   // of a version that was current when somebody looked; nil: nobody has
}

// Doing is what a mirror is about, in words for people.
type Doing string

// The things that a mirror does.
const (
	Idle     Doing = "up to date"
	Looking  Doing = "looking for the latest"
	Planning Doing = "planning"
	Fetching Doing = "fetching"
	Building Doing = "building"
	Held     Doing = "held"
	Stopped  Doing = "frozen"
	Paused   Doing = "paused"
	Waiting  Doing = "waiting" // for a publisher, or to try again
)

// againLocked says whether what is carried may be something else than what is there. Who says so while a version is being built says it of
// that one too.
func (m *Mirror) againLocked() bool { return m.asked != m.heeded }

// Look is one look at a mirror.
type Look struct {
	Spec    Spec      `json:"spec"`
	Link    string    `json:"link"`
	Doing   Doing     `json:"doing"`
	State   State     `json:"state"`
	Current Head      `json:"current"`
	Since   time.Time `json:"since"` // when it became current
	Trace   Trace     `json:"trace"`
	Scrub   Scrub     `json:"scrub"`
	Done    int64     `json:"done"` // bytes, while it fetches
	Total   int64     `json:"total"`
	Failed  string    `json:"failed,omitempty"`
	Hook    string    `json:"hook,omitempty"`
	Remote  bool      `json:"remote,omitempty"` // its contents lie elsewhere, and it has no tree of files
	Next    time.Time `json:"next"`
}

// Lag is for how long the publisher's latest version that is known has not been the one here.
func (l Look) Lag(now time.Time) time.Duration {
	latest := l.State.Latest()
	if latest.Zero() || latest.ID == l.Current.ID {
		return 0
	}
	return max(now.Sub(l.State.Seen), 0)
}

// Look returns what is to be seen now.
func (m *Mirror) Look() Look {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := Look{
		Spec: m.spec, Link: m.spec.Link(), Doing: m.doing, State: m.state, Current: m.current.Head, Since: m.current.Since, Trace: m.trace, Scrub: m.scrub,
		Done: m.done, Total: m.total, Failed: m.failed, Hook: m.hook, Next: m.next,
		Remote: m.set.cfg.Remote != nil,
	}
	l.State.Past = append([]Head(nil), m.state.Past...)
	if l.Doing == Idle || l.Doing == Waiting || l.Doing == "" {
		switch {
		case m.state.Frozen:
			l.Doing = Stopped
		case m.state.Paused:
			l.Doing = Paused
		case m.state.Held != "":
			l.Doing = Held
		case m.current.Zero() || m.failed != "":
			l.Doing = Waiting
		default:
			l.Doing = Idle
		}
	}
	return l
}

// openMirror opens what an earlier run has left.
func openMirror(s *Set, dir string, spec Spec) (*Mirror, error) {
	m := &Mirror{set: s, dir: dir, hooks: newHookQueue(s.hookCtx), pages: pages{filepath.Join(dir, "pages")}, kick: make(chan struct{}, 1), others: make(chan struct{}, 1), ended: make(chan struct{}), work: make(chan struct{}, 1), spec: spec}
	if err := os.MkdirAll(m.pages.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if m.tree, err = OpenTree(spec.Dir); err != nil {
		return nil, err
	}
	m.tree.ops.ending = func() bool { return s.ctx.Err() != nil }
	v, there, err := m.tree.Current()
	if err != nil {
		return nil, err
	}
	if there {
		if err := m.tree.belongs(spec.Link()); err != nil {
			return nil, err
		}
		m.current, m.asked = v, 1 // rules, lists, or the disk may be others than when it was built
	}
	m.work <- struct{}{}
	return m, m.tree.mark(spec.Link())
}

const (
	pushGap   = 5 * time.Second // between two syncs that others have asked for by telling of a newer version
	firstWait = 30 * time.Second
	retryMost = time.Hour
)

// run looks at the name when it is time, and when somebody says that there is something new.
func (m *Mirror) run(ctx context.Context) {
	defer close(m.ended)
	timer := time.NewTimer(m.firstDelay())
	defer timer.Stop()
	late := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
			if wait := m.gap(); wait > 0 {
				timer.Reset(wait)
				late = true
				continue
			}
		case <-m.others:
			m.companions(ctx)
			continue
		case <-timer.C:
			if late { // it counts as what was put off
				m.gap()
				late = false
			}
		}
		if _, err := m.Sync(ctx, false); err != nil && ctx.Err() == nil {
			m.set.cfg.Log.Debug("mirror", "name", m.Name(), "err", err)
		}
		timer.Reset(m.plan())
	}
}

// firstDelay: mirrors that start together do not look together, and one that has nothing yet does not wait.
func (m *Mirror) firstDelay() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current.Zero() {
		return 0
	}
	return rand.N(min(m.spec.Rules.Every, firstWait))
}

// gap keeps a flood of versions from keeping the disk busy.
func (m *Mirror) gap() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.set.now()
	wait := m.pushed.Add(pushGap).Sub(now)
	if wait <= 0 {
		m.pushed = now
	}
	return wait
}

// plan says when to look again: after Every, and up to a tenth more so that mirrors spread; sooner after a failure.
func (m *Mirror) plan() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := m.spec.Rules.Every
	if m.failures > 0 {
		wait = min(wait, retryMost, 5*time.Second<<min(m.failures-1, 12))
	}
	wait += rand.N(wait/10 + 1)
	m.next = m.set.now().Add(wait)
	return wait
}

// poke has the mirror look soon.
func (m *Mirror) poke() { token(m.kick) }

// token puts one where there is none.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Name is what the mirror is called here.
func (m *Mirror) Name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spec.Name
}

// Approve says the operator's word, see State.Approve.
func (m *Mirror) Approve() error {
	m.mu.Lock()
	if !m.state.Approve() {
		held, why := m.state.Held, m.state.Why
		m.mu.Unlock()
		if held == "" {
			return errors.New("nothing is held")
		}
		return fmt.Errorf("held for want of room (%s: %s): change the rules, or make room", held, why)
	}
	err := m.saveLocked()
	seq := m.state.Latest().Seq
	m.mu.Unlock()
	m.log(Event{What: "approve", Seq: seq})
	m.poke()
	return err
}

// Pause stops or resumes looking and fetching, at once; what is there is served in any case.
func (m *Mirror) Pause(pause bool) error {
	m.mu.Lock()
	was := m.state.Paused
	m.state.Paused = pause
	if pause && m.halt != nil {
		m.halt(errPaused)
	}
	err := m.saveLocked()
	m.mu.Unlock()
	if what := map[bool]string{true: "pause", false: "resume"}[pause]; was != pause {
		m.log(Event{What: what})
	}
	if !pause {
		m.poke()
	}
	return err
}

// Log returns the last n events.
func (m *Mirror) Log(n int) ([]Event, error) { return readLog(m.dir, n) }

// log writes an event down. A log that cannot be written is told to the daemon's.
func (m *Mirror) log(e Event) {
	e.Time = m.set.now()
	if err := writeLog(m.dir, e); err != nil {
		m.set.cfg.Log.Warn("a mirror's log cannot be written", "name", m.Name(), "err", err)
	}
}

func (m *Mirror) now(doing Doing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doing = doing
}
