package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
)

// Report is what became of one sync.
type Report struct {
	Head    Head  `json:"head"`
	Plan    *Plan `json:"plan,omitempty"` // nil: there was nothing to do
	Changed bool  `json:"changed"`        // there is a new current version
	Fetched int64 `json:"fetched"`        // bytes
	Paused  bool  `json:"paused,omitempty"`
}

var (
	// ErrHeld is wrapped by the error of a sync that the rules stop.
	ErrHeld = errors.New("held")
	// ErrFull is wrapped besides when quota, disk or inodes are too small: nobody can approve that.
	ErrFull = errors.New("no room")
	// ErrFrozen is wrapped by that of a mirror whose publisher has contradicted itself.
	ErrFrozen = errors.New("frozen")
)

// heldError is that of a version which is held.
type heldError struct {
	reason Reason
	why    string
}

func (e *heldError) Error() string { return fmt.Sprintf("held: %s: %s", e.reason, e.why) }

func (e *heldError) Is(target error) bool {
	return target == ErrHeld || target == ErrFull && e.reason.full()
}

// errPaused is that of a sync that was paused.
var errPaused = errors.New("paused")

// Sync looks at the name and takes the latest version, as run does when it is time. dry: nothing but manifests is fetched,
// and nothing is changed or decided.
func (m *Mirror) Sync(ctx context.Context, dry bool) (Report, error) {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.life, func() { cancel(fmt.Errorf("%w any more: %s", ErrNoMirror, m.Name())) })()
	r, err := m.sync(inner, cancel, dry)
	if why := context.Cause(inner); err != nil && why != nil && ctx.Err() == nil {
		err = why
	}
	return r, err
}

func (m *Mirror) sync(ctx context.Context, halt context.CancelCauseFunc, dry bool) (r Report, err error) {
	select {
	case <-m.work:
	case <-ctx.Done():
		return r, ctx.Err()
	}
	defer func() { m.work <- struct{}{} }()
	defer func() { m.over(ctx, err) }()
	m.mu.Lock()
	m.halt = halt
	m.mu.Unlock()
	if err := m.look(ctx); err != nil {
		return r, err
	}
	m.mu.Lock()
	latest, current, paused := m.state.Latest(), m.current, m.state.Paused
	wants := m.state.Wants(m.current.Head) || m.againLocked() && !m.current.Zero() && !m.state.Frozen
	held, again := !m.state.Goes(), m.againLocked() && !dry
	reason, why := m.state.Held, m.state.Why
	m.mu.Unlock()
	r.Head = latest
	if paused && !dry || !wants && !(dry && held) {
		r.Paused = paused
		_, err := m.retire(ctx)
		if err == nil && held && !paused {
			err = &heldError{reason, why}
		}
		return r, err
	}
	if err := m.set.listened(ctx, m.Look().Spec); err != nil {
		return r, err
	}
	// One mirror of a node works at a time: they share the contents that arrive.
	turn, err := m.set.turn(ctx)
	if err != nil {
		return r, err
	}
	defer turn()
	as := current.Head
	as.Gen++ // the same, carried otherwise
	switch {
	case latest.ID == current.ID && latest.Seq == current.Seq, held && !dry:
		return m.take(ctx, as, dry)
	}
	r, err = m.take(ctx, latest, dry)
	if errors.Is(err, ErrHeld) && again && !current.Zero() {
		_, otherwise := m.take(ctx, as, false) // what is there follows the lists and the group meanwhile
		err = errors.Join(err, otherwise)
	}
	return r, err
}

// over writes down how a sync has ended.
func (m *Mirror) over(ctx context.Context, err error) {
	if ctx.Err() != nil {
		err = nil // it was ended, it did not fail
	}
	m.mu.Lock()
	m.doing, m.done, m.total, m.halt = "", 0, 0, nil
	was := m.failed
	m.failed = ""
	if err != nil && !errors.Is(err, ErrHeld) && !errors.Is(err, ErrFrozen) {
		m.failed = err.Error()
		m.failures++
	} else {
		m.failures = 0
	}
	now := m.failed
	m.mu.Unlock()
	if now != "" && now != was {
		m.log(Event{What: "error", Text: now})
	}
}

// look asks what the name stands for.
func (m *Mirror) look(ctx context.Context) error {
	m.mu.Lock()
	spec, paused := m.spec, m.state.Paused
	m.mu.Unlock()
	if paused {
		return nil
	}
	if !spec.follows() {
		return m.see(ctx, Head{ID: spec.ID})
	}
	if m.set.cfg.Deny != nil && m.set.cfg.Deny.DeniesKey(spec.Key) {
		return fmt.Errorf("the publisher is on a deny list")
	}
	m.now(Looking)
	record, err := m.set.cfg.Names.Resolve(ctx, spec.Key, spec.Path)
	if conflict, ok := errors.AsType[*identity.ConflictError](err); ok {
		return m.conflict(ctx, conflict)
	}
	if err != nil {
		return err
	}
	return m.signed(ctx, record)
}

// signed takes what a publisher has signed.
func (m *Mirror) signed(ctx context.Context, record identity.Record) (err error) {
	head := Head{Seq: record.Seq}
	if record.BLAKE3 != nil {
		head.ID = *record.BLAKE3
	} else if head.ID, err = m.known(record); err != nil || head.Zero() {
		if head.ID, err = m.pages.first(ctx, m.set.cfg.Fetcher, chunk.Hash{}, record.SHA256); err != nil {
			return err
		}
	}
	return m.see(ctx, head)
}

// known finds the version that a publisher names by SHA-256 only, among those that were seen under its number.
func (m *Mirror) known(r identity.Record) (chunk.Hash, error) {
	m.mu.Lock()
	latest := m.state.Latest()
	m.mu.Unlock()
	if latest.Zero() || latest.Seq != r.Seq {
		return chunk.Hash{}, nil
	}
	data, err := os.ReadFile(m.pages.path(latest.ID))
	if err != nil || sha256.Sum256(data) != r.SHA256 {
		return chunk.Hash{}, err
	}
	return latest.ID, nil
}

func (m *Mirror) see(ctx context.Context, h Head) error {
	m.mu.Lock()
	was, before := m.state.Held, m.state.Latest()
	news := m.state.See(h, m.set.now())
	err := error(nil)
	if news != Known {
		err = m.saveLocked()
	}
	state, hooks := m.state, m.spec.Hooks
	m.mu.Unlock()
	if err != nil {
		return err
	}
	switch {
	case news == Frozen && was != state.Held:
		m.happened(Event{What: "freeze", Seq: h.Seq, Text: state.Why}, hooks.Hold)
		return fmt.Errorf("%w: %s", ErrFrozen, state.Why)
	case news == Frozen:
		return fmt.Errorf("%w: %s", ErrFrozen, state.Why)
	case news == Fresh && state.Held != "" && h.ID != before.ID:
		m.happened(Event{What: "hold", Seq: h.Seq, Text: string(state.Held) + ": " + state.Why}, hooks.Hold)
	case news == Stale && state.Stale == 1:
		m.log(Event{What: "stale", Seq: h.Seq, Text: "a peer has an earlier version than is known here; it is ignored"})
	}
	return nil
}

// conflict freezes the mirror, and writes both signatures down.
func (m *Mirror) conflict(ctx context.Context, c *identity.ConflictError) error {
	both, err := json.Marshal([]any{c.Held.Signed, c.Other.Signed})
	if err != nil {
		return err
	}
	m.mu.Lock()
	fresh := m.state.Conflicts(c.Held.Seq, c.Error())
	if fresh {
		err = m.saveLocked()
	}
	frozen, hooks := m.state.Frozen, m.spec.Hooks
	m.mu.Unlock()
	if !frozen {
		return m.signed(ctx, c.Held) // the operator knows, and wants what was first
	}
	if fresh && err == nil {
		m.log(Event{What: "signatures", Seq: c.Held.Seq, Text: string(both)})
		m.happened(Event{What: "freeze", Seq: c.Held.Seq, Text: c.Error()}, hooks.Hold)
	}
	return errors.Join(err, fmt.Errorf("%w: %s", ErrFrozen, c.Error()))
}

// take plans, fetches, builds, switches.
func (m *Mirror) take(ctx context.Context, h Head, dry bool) (r Report, err error) {
	r.Head = h
	m.now(Planning)
	m.mu.Lock()
	asked := m.asked
	m.mu.Unlock()
	if err := m.tidy(ctx); err != nil {
		return r, err
	}
	if _, err := m.pages.first(ctx, m.set.cfg.Fetcher, h.ID, chunk.Hash{}); err != nil {
		return r, err
	}
	if err := m.pages.rest(ctx, m.set.cfg.Fetcher, h.ID); err != nil {
		return r, err
	}
	plan, err := m.makePlan(ctx, h)
	if err != nil {
		return r, err
	}
	r.Plan = plan
	if dry {
		return r, nil
	}
	if goes, err := m.judge(ctx, h, plan); err != nil || !goes {
		return r, err
	}
	if plan.Same && plan.Fetch == 0 && h.Gen > 0 { // a tree that an earlier mirror has left may have no contents any more
		if err := m.makeRoom(ctx, None); err != nil { // the quota may be less than it was
			return r, err
		}
		m.mu.Lock()
		m.heeded = asked
		m.mu.Unlock()
		return r, nil
	}
	if err := m.offerHead(ctx, h); err != nil {
		return r, err
	}
	files := plan.Of(m.pages.files(ctx, h))
	if err := m.makeRoom(ctx, files); err != nil {
		return r, err
	}
	got, err := m.fetch(ctx, files, plan)
	r.Fetched = got.swarm + got.http
	if err != nil {
		return r, err
	}
	m.mu.Lock()
	m.halt = nil
	m.mu.Unlock()
	if err := ctx.Err(); err != nil { // it was paused just now
		return r, err
	}
	if err := m.change(ctx, h, files, asked); err != nil {
		return r, err
	}
	r.Changed = true
	return r, m.changed(ctx, h, plan, got)
}

func (m *Mirror) makePlan(ctx context.Context, h Head) (*Plan, error) {
	m.mu.Lock()
	spec, current, allowed := m.spec, m.current, m.state.Allowed(Head{Seq: h.Seq, ID: h.ID})
	m.mu.Unlock()
	disk, err := m.set.room()
	if err != nil {
		return nil, err
	}
	tree := disk
	if !m.set.links(spec.Dir) {
		if tree, err = m.set.cfg.Disk(spec.Dir); err != nil {
			return nil, err
		}
	}
	group, err := m.set.group(spec)
	if err != nil {
		return nil, err
	}
	old, err := m.old(ctx, current.Head)
	if err != nil {
		return nil, err
	}
	s := Situation{
		Rules: spec.Rules, Shared: NewShared(spec.Rules, m.set.cfg.Self, group),
		Old: old, New: m.pages.files(ctx, h),
		OldHas: func(f folder.File) bool { return m.carries(current.Head, f) },
		Has:    m.set.contents.Has, Pinned: m.set.cfg.Pinned, Disk: disk, TreeDisk: tree, Links: m.set.links(spec.Dir), Allowed: allowed,
	}
	if d := m.set.cfg.Deny; d != nil {
		s.Denied = func(f folder.File) bool { return d.DeniesContent(f.IDs()...) }
		if d.DeniesContent(chunk.ID{Kind: chunk.BLAKE3, Hash: h.ID}) {
			return nil, errors.New("the folder is on a deny list")
		}
	}
	return Make(s)
}

// old are the files of the current version. Of a tree that an earlier mirror has left the manifest may be gone: then, unless
// somebody has it, nothing is known of it.
func (m *Mirror) old(ctx context.Context, h Head) (Files, error) {
	if h.Zero() {
		return None, nil
	}
	_, err := m.pages.first(ctx, m.set.cfg.Fetcher, h.ID, chunk.Hash{})
	if err == nil {
		err = m.pages.rest(ctx, m.set.cfg.Fetcher, h.ID)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return None, nil
	}
	return m.pages.files(ctx, h), nil
}

// judge writes the verdict down; goes: the plan may be carried out.
func (m *Mirror) judge(ctx context.Context, h Head, p *Plan) (goes bool, err error) {
	bare := Head{Seq: h.Seq, ID: h.ID}
	m.mu.Lock()
	if bare != m.state.Latest() { // the current version, carried otherwise, while a later one is held
		m.mu.Unlock()
		if p.Held != "" {
			err = &heldError{p.Held, p.Why}
		}
		return p.Held == "", err
	}
	was := m.state.Held
	goes = m.state.Judged(bare, p)
	err = m.saveLocked()
	hooks := m.spec.Hooks
	m.mu.Unlock()
	if err != nil || goes {
		return goes, err
	}
	if p.Held != "" && p.Held != was {
		command := hooks.Hold
		if p.Held.full() && hooks.Full != "" {
			command = hooks.Full
		}
		m.happened(Event{What: "hold", Seq: h.Seq, Text: string(p.Held) + ": " + p.Why}, command)
	}
	return false, &heldError{p.Held, p.Why}
}

// change builds the version, planned when asked was what is given, and makes it the current one.
func (m *Mirror) change(ctx context.Context, h Head, files Files, asked uint64) error {
	m.now(Building)
	h, err := freeName(m.tree, h)
	if err != nil {
		return err
	}
	blobs := m.set.cfg.Blobs
	if m.set.cfg.Remote != nil {
		files = func(func(folder.File) error) error { return nil } // a name is all that a version has here
	}
	if err := m.tree.Build(ctx, h, files, func(f folder.File) (string, error) { return blobs.Path(f.BLAKE3), nil }); err != nil {
		return err
	}
	switched := m.tree.Switch(h, m.set.now())
	v, there, err := m.tree.Current()
	if err != nil || !there {
		return errors.Join(switched, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// What is served is what the tree is, also when its last step has failed.
	if m.current, m.heeded = v, asked; switched != nil {
		m.asked++
	}
	return switched
}

// changed is what follows when there is a new version.
func (m *Mirror) changed(ctx context.Context, h Head, p *Plan, got fetched) error {
	now := m.set.now()
	m.mu.Lock()
	m.trace = Trace{Complete: now, Files: p.Carried, Bytes: p.Size, Fetched: got.swarm + got.http, HTTP: got.http}
	if h.Seq > 1e9 && h.Seq < 1e10 { // a time in Unix seconds, as NextSeq makes it
		m.trace.Signed = time.Unix(h.Seq, 0)
	}
	err := m.saveLocked()
	hooks := m.spec.Hooks
	m.mu.Unlock()
	token(m.others)
	m.happened(Event{What: "update", Seq: h.Seq, Text: p.String()}, hooks.Update)
	if _, gone := m.retire(ctx); gone != nil {
		err = errors.Join(err, gone)
	}
	m.set.changed(ctx)
	return err
}

// retire removes versions whose time is over, and what only they have had.
func (m *Mirror) retire(ctx context.Context) (gone []Head, err error) {
	m.mu.Lock()
	rules := m.spec.Rules
	m.mu.Unlock()
	if gone, err = m.tree.Retire(rules.Keep, rules.Grace, m.set.now()); err != nil || len(gone) == 0 {
		return gone, err
	}
	m.set.garbage.Store(true)
	return gone, m.tidy(ctx)
}

// tidy removes the manifests of what is neither here nor the latest: a flood of versions that are held fills no disk with them.
func (m *Mirror) tidy(ctx context.Context) error {
	vs, err := m.tree.Versions()
	if err != nil {
		return err
	}
	m.mu.Lock()
	heads := []Head{m.state.Latest()} // it may be held: who approves it has its manifest
	m.mu.Unlock()
	for _, v := range vs {
		heads = append(heads, v.Head)
	}
	paths, err := m.pages.clear(ctx, heads)
	if err == nil && len(paths) > 0 {
		err = m.set.cfg.Shelf.Withdraw(paths)
	}
	return err
}
