package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/transfer"
)

// linger is how long a download for readers goes on when the last of them has left, a player that jumps
// closes one request and begins another.
const linger = 5 * time.Second

// maxFailed is how many downloads that failed are remembered, for those who did not wait for them.
const maxFailed = 8

// arrivals are the contents that arrive, by all ids that they were asked for by. The zero value is empty. There are
// as many as downloads run.
type arrivals struct {
	mu     sync.Mutex
	byID   map[chunk.ID]*arrival
	failed []Incoming // oldest first
}

// arrival is a content on its way, and its readers.
type arrival struct {
	of       *arrivals
	id, also chunk.ID
	name     string
	cancel   context.CancelFunc // nil: a Get, which ends when its caller wants
	started  time.Time

	mu       sync.Mutex
	demand   *transfer.Demand // nil: none yet; another one when the download starts over by another id
	verified bool
	landed   string        // where the whole, verified content lies while it is taken into the store
	changed  chan struct{} // closed when demand is another one, when it has landed, and when it has ended
	ended    bool
	err      error
	readers  int
	keep     bool // somebody wants all of it
	leaving  bool // nobody wanted it any more: it has been stopped, and has the file until it has ended
	idle     *time.Timer
	progress Progress
}

// Incoming is one look at a content on its way.
type Incoming struct {
	ID       chunk.ID
	Name     string
	Progress Progress
	Readers  int
	Stored   bool  // into the store; else to a file of the user's
	Err      error // it has failed
	Started  time.Time
}

// begin makes the arrival of a Get. mine is false for the one of somebody else, by which the content arrives already.
func (as *arrivals) begin(g Get) (a *arrival, mine bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	for _, id := range []chunk.ID{g.ID, g.Also} {
		if a := as.byID[id]; a != nil && id.Valid() {
			return a, false
		}
	}
	a = &arrival{of: as, id: g.ID, also: g.Also, started: time.Now(), changed: make(chan struct{})}
	return a, as.putLocked(a)
}

func (as *arrivals) putLocked(a *arrival) bool {
	if as.byID == nil {
		as.byID = map[chunk.ID]*arrival{}
	}
	if as.byID[a.id] != nil {
		return false
	}
	as.byID[a.id] = a
	as.forgetFailedLocked(a.id) // it is tried again
	if a.also.Valid() && as.byID[a.also] == nil {
		as.byID[a.also] = a
	}
	return true
}

func (as *arrivals) forgetFailedLocked(id chunk.ID) {
	as.failed = slices.DeleteFunc(as.failed, func(f Incoming) bool { return f.ID == id })
}

// join returns the arrival of a content with one more reader, or, with keep, for good. Where there is none start makes one,
// after the end of the last one if that has been stopped just now.
func (as *arrivals) join(ctx context.Context, ids []chunk.ID, keep bool, start func() (*arrival, error)) (*arrival, error) {
	for {
		a, err := as.tryJoin(ids, keep, start)
		if err != nil || !a.isLeaving() {
			return a, err
		}
		_ = a.done(ctx) // how it ended is nobody's business
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// tryJoin is join, unless what it returns is leaving.
func (as *arrivals) tryJoin(ids []chunk.ID, keep bool, start func() (*arrival, error)) (*arrival, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	var a *arrival
	for _, id := range ids {
		if a == nil && id.Valid() {
			a = as.byID[id]
		}
	}
	if a == nil {
		var err error
		if a, err = start(); err != nil {
			return nil, err
		}
		as.putLocked(a)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leaving {
		return a, nil
	}
	a.keep = a.keep || keep
	if !keep {
		a.readers++
	}
	a.stayLocked()
	return a, nil
}

// stayLocked takes back that it is stopped for want of readers.
func (a *arrival) stayLocked() {
	if a.idle != nil {
		a.idle.Stop()
		a.idle = nil
	}
}

// leave is called for each reader that goes.
func (a *arrival) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.readers--
	if a.readers == 0 && !a.keep && !a.ended && a.cancel != nil {
		a.idle = time.AfterFunc(linger, a.stopIfIdle)
	}
}

func (a *arrival) stopIfIdle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.readers == 0 && !a.keep {
		a.leaving = true
		a.cancel()
	}
}

func (a *arrival) isLeaving() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaving
}

// attach gives readers another demand to wait for.
func (a *arrival) attach(d *transfer.Demand, verified bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.demand, a.verified = d, verified
	close(a.changed)
	a.changed = make(chan struct{})
}

// land says that all is there, and where: readers need not wait until it is in the store.
func (a *arrival) land(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.landed = path
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *arrival) note(p Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress = p
}

// end says that the content is here, or why it is not.
func (a *arrival) end(err error) {
	a.of.mu.Lock()
	for _, id := range []chunk.ID{a.id, a.also} {
		if a.of.byID[id] == a {
			delete(a.of.byID, id)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		failed := a.look()
		failed.Err = err
		a.of.forgetFailedLocked(a.id)
		a.of.failed = append(a.of.failed, failed)
		a.of.failed = a.of.failed[max(0, len(a.of.failed)-maxFailed):]
	}
	a.of.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle != nil {
		a.idle.Stop()
	}
	a.ended, a.err = true, err
	close(a.changed)
}

// source is what a content can be read from.
type source struct {
	demand   *transfer.Demand // nil: it is complete
	verified bool
	landed   string // the file that has it; empty: to be found by its id
}

// next returns a source other than the demand old.
func (a *arrival) next(ctx context.Context, old *transfer.Demand) (source, error) {
	for {
		a.mu.Lock()
		s := source{demand: a.demand, verified: a.verified, landed: a.landed}
		ended, err, changed := a.ended, a.err, a.changed
		a.mu.Unlock()
		switch {
		case ended:
			return source{verified: true}, err
		case s.landed != "":
			return source{verified: true, landed: s.landed}, nil
		case s.demand != nil && s.demand != old:
			return s, nil
		}
		select {
		case <-ctx.Done():
			return source{}, ctx.Err()
		case <-changed:
		}
	}
}

// done waits for the end.
func (a *arrival) done(ctx context.Context) error {
	for {
		a.mu.Lock()
		ended, err, changed := a.ended, a.err, a.changed
		a.mu.Unlock()
		if ended {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// follow waits for the end as one more reader, however it comes, and passes on how far it is. The error is the context's.
func (a *arrival) follow(ctx context.Context, progress func(Progress)) error {
	a.mu.Lock()
	a.readers++
	a.stayLocked()
	a.mu.Unlock()
	defer a.leave()
	const look = 200 * time.Millisecond
	for {
		within, stop := context.WithTimeout(ctx, look)
		_ = a.done(within) // how it ended is seen by looking for what it brought
		stop()
		if err := ctx.Err(); err != nil {
			return err
		}
		a.mu.Lock()
		p, ended := a.progress, a.ended
		a.mu.Unlock()
		if ended {
			return nil
		}
		if progress != nil && p.State != "" {
			progress(p)
		}
	}
}

// kept says whether it is to stay.
func (a *arrival) kept() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keep
}

func (a *arrival) look() Incoming {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Incoming{ID: a.id, Name: a.name, Progress: a.progress, Readers: a.readers, Stored: a.cancel != nil, Started: a.started}
}

// Incoming returns a look at each content on its way, the latest first, and behind them the last that failed.
func (n *Node) Incoming() []Incoming {
	as := &n.arrivals
	as.mu.Lock()
	defer as.mu.Unlock()
	var looks []Incoming
	for id, a := range as.byID {
		if id == a.id {
			looks = append(looks, a.look())
		}
	}
	slices.SortFunc(looks, func(a, b Incoming) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	for _, f := range slices.Backward(as.failed) {
		looks = append(looks, f)
	}
	return looks
}

// fetchToStore starts a download into the store. It ends when nobody wants it any more; what came stays for the next one.
func (n *Node) fetchToStore(r OpenRequest) (*arrival, error) {
	target, err := n.state.store.Target(r.ID)
	if err != nil {
		return nil, err
	}
	ctx, end, err := n.begin(context.Background()) // it outlives the request that began it
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	a := &arrival{
		of: &n.arrivals, id: r.ID, also: r.Also, name: r.Name, started: time.Now(), changed: make(chan struct{}),
		cancel: func() { stop(context.Canceled) },
	}
	go func() { // begin has counted it: Close waits
		defer end()
		defer stop(nil)
		err := n.fetchStored(ctx, stop, a, r, target)
		if cause := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && cause != nil {
			err = cause
		}
		n.finish(a, err)
	}()
	return a, nil
}

// finish ends the arrival of a content of the store. It stays also for those who have come since land looked whether anybody wants that.
func (n *Node) finish(a *arrival, err error) {
	a.end(err) // nobody joins it any more
	if err != nil || !a.kept() {
		return
	}
	if err := n.state.store.Pin(a.id, PinKept); err != nil {
		n.log.Warn("what was to be kept is not", "id", a.id, "err", err)
	}
}

// claimStep is for how many bytes beyond those that have come room is made while the size is a claim. Looks at a download
// come ten times a second.
const claimStep = 256 << 20

// roomFor is the room that a download needs now. By sha256 its size is what some peer says: one that lies must not have
// all removed that is in the store.
func roomFor(p Progress, sure bool) int64 {
	if sure {
		return p.Total
	}
	return min(p.Total, p.Done+claimStep)
}

// sure says whether the size of what arrives is proven.
func (a *arrival) sure() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.verified
}

// fetchStored fetches a content into the store, as far as there is room for it.
func (n *Node) fetchStored(ctx context.Context, stop context.CancelCauseFunc, a *arrival, r OpenRequest, target string) error {
	room := n.state.store.Room()
	defer room.Release()
	defer n.state.store.Leave(target)
	got, err := n.Get(ctx, Get{
		ID: r.ID, Also: r.Also, Size: r.Size, Peers: r.Peers, Path: target, Force: true, FindTimeout: r.FindTimeout,
		own: true, arrival: a,
		Progress: func(p Progress) {
			if err := room.Grow(roomFor(p, a.sure())); err != nil {
				stop(err)
			}
		},
	})
	if err != nil {
		return err
	}
	a.land(target)
	return n.land(ctx, a, target, got.Sums)
}
