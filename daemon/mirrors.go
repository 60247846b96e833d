package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
	"sharer/identity"
	"sharer/index"
	"sharer/mirror"
	"sharer/node"
	"sharer/seed"
)

const (
	nameTimeout    = 30 * time.Second // to hear what a name stands for
	mirrorFind     = time.Minute      // to find somebody who has a content
	mirrorStall    = 2 * time.Minute
	mirrorJobs     = 32 // contents at the same time: most files of a folder are small, and wait for their round trips
	denyLook       = 2 * time.Second
	blobsDir       = "blobs"
	mirrorsDir     = "mirrors"
	mirrorTreeName = "tree"
)

// openMirrors opens the mirrors of earlier runs, and serves what they have.
func (d *Daemon) openMirrors() error {
	dir := d.cfg.Node.StateDir
	d.statusDue, d.groupDue = make(chan struct{}, 1), make(chan struct{}, 1)
	d.denyDue = make(chan struct{}, 1)
	blobs, err := mirror.OpenBlobs(filepath.Join(dir, blobsDir))
	if err != nil {
		return err
	}
	remote, err := d.openRemote(blobs)
	if err != nil {
		return err
	}
	contents := blobs.Dir()
	if remote != nil {
		contents = remote.Dir()
	}
	d.Tally(contents) // or each content that is served had a counter of its own
	offered, err := d.OfferUnder(contents)
	if err != nil {
		return err
	}
	set, notes, err := mirror.OpenSet(mirror.Config{
		Dir: filepath.Join(dir, mirrorsDir), Blobs: blobs, Remote: remote, Fetcher: fetcher{d.Node}, Names: publishers{d.Node}, Shelf: shelf{d.Node}, Deny: refuser{d.Node},
		Self: d.Key(), Pinned: d.pinned, Holders: func(h chunk.Hash) int { return d.Holders(chunk.ID{Kind: chunk.BLAKE3, Hash: h}) }, Log: d.log, Listens: true, HTTP: d.fetchPlain, HTTPDown: func() int64 { return d.Limits().Now.Down }, Changed: func(context.Context) {
			poke(d.statusDue)
			poke(d.groupDue)
		},
	})
	if err != nil {
		return err
	}
	d.mirrors = set
	d.notes = append(d.notes, notes...)
	d.unlatest = d.OnLatest(func(r identity.Record) {
		set.Pushed(r)
		d.denyNews(r)
	})
	d.wg.Go(func() {
		if err := set.Reoffer(d.ctx, offered); err != nil && d.ctx.Err() == nil {
			d.log.Warn("contents of mirrors could not be offered again", "err", err)
		}
	})
	d.every(denyLook, d.lookAtDeny)
	d.wg.Go(d.followDeny)
	d.wg.Go(d.tellStatus)
	d.wg.Go(d.hearMirrors)
	d.wg.Go(func() { set.RunScrub(d.ctx, d.cfg.Scrub) })
	return nil
}

// poke puts a token where there is none.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lookAtDeny reads deny lists again when they have changed, and has mirrors follow.
func (d *Daemon) lookAtDeny() {
	changed, errs := d.Deny().Reload()
	for _, err := range errs {
		d.log.Warn("deny list", "err", err)
	}
	if changed {
		d.mirrors.Reconsider()
	}
}

// pinned says whether somebody wants a content to stay.
func (d *Daemon) pinned(h chunk.Hash) bool {
	e, there := d.Store().Find(chunk.ID{Kind: chunk.BLAKE3, Hash: h})
	return there && len(e.Pins) > 0
}

// fetcher shows a mirror the swarm.
type fetcher struct{ n *node.Node }

var _ mirror.Fetcher = fetcher{}

func (f fetcher) Page(ctx context.Context, blake3, sha256 chunk.Hash) ([]byte, error) {
	one := folder.File{BLAKE3: blake3, SHA256: sha256}
	g := node.Get{ID: one.ID(), Also: one.Also(), FindTimeout: mirrorFind, StallTimeout: mirrorStall}
	if blake3 == (chunk.Hash{}) {
		g.ID, g.Also = g.Also, chunk.ID{}
	}
	return f.n.FetchPage(ctx, g)
}

// Contents brings what is on this machine from there, and the rest from the swarm.
func (f fetcher) Contents(ctx context.Context, o mirror.Order, done func(folder.File, error)) error {
	var far []folder.File
	for _, one := range o.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.n.CopyHere(ctx, one, filepath.Join(o.Dir, one.Path)) {
			done(one, nil)
			continue
		}
		far = append(far, one)
	}
	if len(far) == 0 {
		return nil
	}
	g := node.GetFolder{
		Files: far, Dir: o.Dir, Down: o.Down, Force: true, Jobs: mirrorJobs, FindTimeout: cmp.Or(o.Find, mirrorFind), StallTimeout: mirrorStall,
		Done: func(got node.FolderFile) { done(got.File, got.Err) },
	}
	if o.Moved != nil {
		g.Progress = func(p node.FolderProgress) { o.Moved(p.Done) }
	}
	return f.n.GetFolder(ctx, g)
}

// publishers shows a mirror what names stand for.
type publishers struct{ n *node.Node }

var _ mirror.Names = publishers{}

func (p publishers) Resolve(ctx context.Context, key identity.PublicKey, name string) (identity.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	return p.n.Poll(ctx, key, name)
}

// shelf has what a mirror keeps served.
type shelf struct{ n *node.Node }

var _ mirror.Shelf = shelf{}

func (s shelf) Offer(kept []mirror.Kept) error {
	entries := make([]index.Entry, 0, len(kept))
	for _, k := range kept {
		entries = append(entries, index.Entry{
			Content: index.Content{SHA256: k.Sums.SHA256, BLAKE3: k.Sums.BLAKE3, Size: k.Sums.Size},
			Place:   index.Place{Path: k.Path, Stamp: k.Stamp},
		})
	}
	return s.n.OfferFiles(entries)
}

func (s shelf) Withdraw(paths []string) error { return s.n.WithdrawFiles(paths) }

// refuser shows a mirror the deny lists.
type refuser struct{ n *node.Node }

var _ mirror.Denier = refuser{}

func (d refuser) DeniesContent(ids ...chunk.ID) bool { return d.n.DeniesContent(ids...) }

func (d refuser) DeniesKey(k identity.PublicKey) bool {
	_, no := d.n.Deny().Key(k)
	return no
}

var errNoMirrors = errors.New("mirrors are kept by a daemon. Start one: sharer daemon")

// Mirrors is one look at all mirrors.
func (d *Daemon) Mirrors() (looks []mirror.Look) {
	if d.mirrors == nil {
		return nil
	}
	for _, m := range d.mirrors.Mirrors() {
		looks = append(looks, m.Look())
	}
	return looks
}

// mirrorItems are the mirrors as sharer ls lists them.
func (d *Daemon) mirrorItems() (items []control.Item) {
	for _, l := range d.Mirrors() {
		it := control.Item{Kind: "mirror", Name: l.Spec.Name + "/", Path: control.Path(l.Spec.Dir), State: string(l.Doing), Error: l.Failed, Files: l.Trace.Files, Size: l.Trace.Bytes, Have: l.Trace.Bytes}
		if l.Remote {
			it.Path = ""
		}
		if l.Doing == mirror.Idle {
			it.State = "seeding"
		}
		if !l.Current.Zero() {
			it.ID = "folder/" + l.Current.ID.String()
			it.Peers = d.Holders(contentID(it.ID))
		}
		if l.Doing == mirror.Fetching {
			it.Size, it.Have = l.Total, l.Done
		}
		items = append(items, it)
	}
	return items
}

// AddMirror makes a mirror. Without a folder its tree lies in the state folder.
func (d *Daemon) AddMirror(ctx context.Context, spec mirror.Spec) (mirror.Look, error) {
	switch {
	case d.mirrors == nil:
		return mirror.Look{}, errNoMirrors
	case !control.CallerOf(ctx).Same && (spec.Dir != "" || spec.Hooks.Any()):
		return mirror.Look{}, fmt.Errorf("%w: only the daemon's own user names folders and commands", control.ErrRefused)
	}
	if spec.Dir != "" && d.depot != nil {
		return mirror.Look{}, fmt.Errorf("%w: mirrors here keep their contents in a store and have no tree of files. Leave the folder out", control.ErrBad)
	}
	if root := d.seededAround(spec.Dir); root != "" {
		return mirror.Look{}, fmt.Errorf("%w: %s lies in %s, which is seeded: each version of the mirror would be one of that folder. Choose another", control.ErrBad, spec.Dir, root)
	}
	if spec.Dir == "" {
		abs, err := filepath.Abs(filepath.Join(d.cfg.Node.StateDir, mirrorsDir, spec.Name, mirrorTreeName))
		if err != nil {
			return mirror.Look{}, err
		}
		spec.Dir = abs
	}
	if err := spec.Check(); err != nil {
		return mirror.Look{}, fmt.Errorf("%w: %w", control.ErrBad, err)
	}
	if err := d.mirrors.Add(spec); err != nil {
		return mirror.Look{}, err
	}
	m, err := d.mirrors.Find(spec.Name)
	if err != nil {
		return mirror.Look{}, err
	}
	return m.Look(), nil
}

// seededAround is the folder that is seeded and that a path lies in; empty: none.
func (d *Daemon) seededAround(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.seeds {
		if _, is := under(string(s.Path), path); is {
			return string(s.Path)
		}
	}
	return ""
}

// mirrorsBelow refuses to seed a folder that would take the tree of a mirror with it. Trees in the state folder are left out of
// what is seeded around that.
func (d *Daemon) mirrorsBelow(o seed.Options) error {
	state, err := filepath.Abs(d.cfg.Node.StateDir)
	if err != nil {
		return err
	}
	for _, l := range d.Mirrors() {
		for _, root := range o.Paths {
			rel, below := under(root, l.Spec.Dir)
			_, ours := under(state, l.Spec.Dir)
			if _, inside := under(state, root); !below || l.Remote || ours && !inside || o.Passes(filepath.ToSlash(rel)) {
				continue
			}
			return fmt.Errorf("%w: in %s is %s, where the mirror %s has its tree: each of its versions would be one of that folder. Leave it out (--exclude), or seed another",
				control.ErrBad, root, l.Spec.Dir, l.Spec.Name)
		}
	}
	return nil
}

// under says whether a path is a folder or lies in it, and where.
func under(dir, path string) (rel string, is bool) {
	rel, err := filepath.Rel(dir, path)
	return rel, err == nil && filepath.IsLocal(rel)
}

// mirror finds one by its name.
func (d *Daemon) mirror(name string) (*mirror.Mirror, error) {
	if d.mirrors == nil {
		return nil, errNoMirrors
	}
	m, err := d.mirrors.Find(name)
	if errors.Is(err, mirror.ErrNoMirror) {
		err = fmt.Errorf("%w: %w", control.ErrUnknown, err)
	}
	return m, err
}

// SyncMirror looks at a mirror's name now. With dry nothing is changed.
func (d *Daemon) SyncMirror(ctx context.Context, name string, dry bool) (mirror.Report, error) {
	m, err := d.mirror(name)
	if err != nil {
		return mirror.Report{}, err
	}
	return m.Sync(ctx, dry)
}

// TellMirror has a mirror pause, resume, or take what is held.
func (d *Daemon) TellMirror(name, what string) error {
	m, err := d.mirror(name)
	if err != nil {
		return err
	}
	switch what {
	case "pause", "resume":
		return m.Pause(what == "pause")
	case "approve":
		return m.Approve()
	}
	return fmt.Errorf("%w: a mirror cannot %q", control.ErrBad, what)
}

// SetMirrorRules changes the rules of a mirror; what it carries follows.
func (d *Daemon) SetMirrorRules(name string, r mirror.Rules) error {
	if _, err := d.mirror(name); err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return fmt.Errorf("%w: %w", control.ErrBad, err)
	}
	return d.mirrors.SetRules(name, r)
}

// RemoveMirror ends a mirror; data: its tree goes too.
func (d *Daemon) RemoveMirror(ctx context.Context, name string, data bool) error {
	if _, err := d.mirror(name); err != nil {
		return err
	}
	return d.mirrors.Remove(ctx, name, data)
}

// MirrorLog returns the last n events of a mirror.
func (d *Daemon) MirrorLog(name string, n int) ([]mirror.Event, error) {
	m, err := d.mirror(name)
	if err != nil {
		return nil, err
	}
	return m.Log(n)
}

// MirrorCopies counts the copies of a mirror's files, as others tell.
func (d *Daemon) MirrorCopies(ctx context.Context, name string, fewer int) (mirror.Copies, error) {
	if _, err := d.mirror(name); err != nil {
		return mirror.Copies{}, err
	}
	return d.mirrors.Copies(ctx, name, fewer)
}

// Invitation fetches what a publisher wants to have mirrored.
func (d *Daemon) Invitation(ctx context.Context, key identity.PublicKey, name string) (mirror.Invitation, error) {
	ctx, cancel := context.WithTimeout(ctx, nameTimeout+mirrorFind)
	defer cancel()
	r, err := publishers{d.Node}.Resolve(ctx, key, name)
	if err != nil {
		return mirror.Invitation{}, err
	}
	var blake3 chunk.Hash
	if r.BLAKE3 != nil {
		blake3 = *r.BLAKE3
	}
	data, err := fetcher{d.Node}.Page(ctx, blake3, r.SHA256)
	if err != nil {
		return mirror.Invitation{}, err
	}
	return mirror.ParseInvitation(data)
}
