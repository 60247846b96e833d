package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"sharer/chunk"
	"sharer/transfer"
)

const (
	defaultFindTimeout  = 60 * time.Second
	defaultStallTimeout = 5 * time.Minute
)

// Get fetches one content to a file. The error is, or wraps: ErrNotFound,
// ErrStalled, ErrIntegrity, ErrExists, a *LockedError, syscall.ENOSPC, or the
// context's. Unless it is ErrExists, what arrived stays beside the target and
// the next Get of the same id goes on from there.
func (n *Node) Get(ctx context.Context, g Get) (got Got, err error) {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return Got{}, err
	}
	defer end()
	if n.DeniesContent(g.ID, g.Also) {
		return Got{}, ErrDenied
	}
	start := time.Now()
	if g.FindTimeout <= 0 {
		g.FindTimeout = defaultFindTimeout
	}
	for {
		if got, done, err := n.without(ctx, g); done || err != nil {
			got.Duration = time.Since(start)
			return got, err
		}
		if g.arrival != nil || g.ID.Kind == chunk.BLAKE3Tree {
			break
		}
		a, mine := n.arrivals.begin(g)
		if mine {
			g.arrival = a
			defer func() { a.end(err) }()
			break
		}
		// It arrives already, for somebody else: a browser, or another name in a list. Then it is here, or this one's turn.
		if err := a.follow(ctx, g.Progress); err != nil {
			return Got{}, err
		}
	}
	got, err = n.fetchEither(ctx, g)
	for errors.Is(err, errElsewhere) {
		if got, done, err := n.without(ctx, g); done || err != nil {
			got.Duration = time.Since(start)
			return got, err
		}
		got, err = n.fetchEither(ctx, g)
	}
	if err == nil && g.Out != nil && !got.streamed {
		err = copyOut(g.Out, got.Path)
	}
	got.Duration = time.Since(start)
	return got, err
}

// without gets a content for which nobody need be asked: the target has it already, or this node.
func (n *Node) without(ctx context.Context, g Get) (got Got, done bool, err error) {
	if g.ID.Kind != chunk.BLAKE3Tree {
		got, done, err = n.alreadyThere(ctx, g)
	}
	if !done && err == nil {
		got, done, err = n.fromHere(ctx, g)
	}
	if done && err == nil && g.Out != nil {
		err = copyOut(g.Out, got.Path)
	}
	return got, done, err
}

// errElsewhere: another Get has fetched the same content meanwhile, which was known only when a peer told its BLAKE3.
var errElsewhere = errors.New("it was being fetched for somebody else")

// copyOut writes a complete, verified file.
func copyOut(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

// fetchEither fetches by one hash and, where nobody knows that, by the other: each has half of the time to be found.
func (n *Node) fetchEither(ctx context.Context, g Get) (Got, error) {
	if g.ID.Kind == chunk.SHA256 {
		return n.fetchSHA256(ctx, g)
	}
	if !g.Also.Valid() {
		return n.fetch(ctx, g)
	}
	begun, first := time.Now(), g
	first.FindTimeout = max(g.FindTimeout/2, 1) // 0 would be the usual time
	got, err := n.fetch(ctx, first)
	if errors.Is(err, ErrNotFound) {
		// Nodes that know sha256 ids only have no tree to check blocks by.
		other := g
		other.ID, other.Also, other.FindTimeout = g.Also, g.ID, max(g.FindTimeout-time.Since(begun), 1)
		got, err = n.fetch(ctx, other)
	}
	if none, ok := errors.AsType[*NotFoundError](err); ok {
		none.ID, none.After = g.ID, g.FindTimeout
	}
	return got, err
}

const (
	hintFind = 10 * time.Second // how long somebody is looked for who has the tree of a BLAKE3 that a peer told
	hintsMax = 3                // such hints that one Get follows
)

// fetchSHA256 fetches by sha256. As soon as a peer tells the BLAKE3 of the content it is
// fetched by that, so that each block is checked on arrival; the sha256 decides in the
// end. A hint that turns out wrong is dropped with all that came by it.
func (n *Node) fetchSHA256(ctx context.Context, g Get) (Got, error) {
	var refused []chunk.Hash
	g.refuse = func(h chunk.Hash) bool { return slices.Contains(refused, h) || len(refused) >= hintsMax }
	fetched, over := int64(0), time.Now().Add(g.FindTimeout)
	var hint *transfer.HintError
	if id, also := chunk.PartialIDs(g.Path); id.Kind == chunk.BLAKE3 && also == g.ID {
		hint = &transfer.HintError{BLAKE3: id.Hash} // of an earlier run
	}
	for {
		if hint == nil {
			again := g // with the time that is left, after hints that led nowhere
			again.FindTimeout = min(max(time.Until(over), hintFind), g.FindTimeout)
			got, err := n.fetch(ctx, again)
			got.Fetched += fetched
			if !errors.As(err, &hint) {
				return got, err
			}
		}
		byHint := g
		byHint.ID, byHint.Also, byHint.Out, byHint.hinted = chunk.ID{Kind: chunk.BLAKE3, Hash: hint.BLAKE3}, g.ID, nil, true
		if hint.From.IsValid() {
			byHint.FindTimeout = hintFind
		}
		got, err := n.fetch(ctx, byHint)
		fetched += got.Fetched
		got.Fetched = fetched
		if err == nil || !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrIntegrity) {
			return got, err
		}
		if hint.From.IsValid() && errors.Is(err, ErrIntegrity) {
			peers{n.swarm, n.deny}.Punish(hint.From) // it has said so with our cookie, and it is not so
		}
		refused, hint = append(refused, hint.BLAKE3), nil
	}
}

// alreadyThere looks at an existing target: the same bytes are as good as
// fetched, others are not overwritten unless asked for.
func (n *Node) alreadyThere(ctx context.Context, g Get) (Got, bool, error) {
	f, stamp, err := chunk.OpenRegular(g.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Got{}, false, nil
	case errors.Is(err, chunk.ErrNotRegular):
		return Got{}, false, fmt.Errorf("%s: %w", g.Path, ErrExists)
	case err != nil:
		return Got{}, false, err
	}
	defer f.Close()
	sums, err := chunk.Sum(ctx, f, stamp.Size, nil, nil)
	if err == nil && matches(sums, g.ID) {
		return Got{Path: g.Path, Size: stamp.Size, Sums: sums, Existed: true}, true, nil
	}
	if err != nil && !errors.Is(err, chunk.ErrSize) {
		return Got{}, false, err
	}
	if !g.Force {
		return Got{}, false, fmt.Errorf("%s: %w", g.Path, ErrExists)
	}
	return Got{}, false, nil
}

func matches(s chunk.Sums, id chunk.ID) bool {
	if id.Kind == chunk.SHA256 {
		return s.SHA256 == id.Hash
	}
	return s.BLAKE3 == id.Hash
}

// smallContent is what arrives in memory and is written at once, if the caller keeps targets apart: of the files of a source
// tree nearly all. The partial file of each would cost ten times as many calls of the system as the file does.
const smallContent = 256 << 10

// fetch downloads one id into the partial file beside the target.
func (n *Node) fetch(ctx context.Context, g Get) (Got, error) {
	id := g.ID
	if id.Kind == chunk.BLAKE3Tree {
		id.Kind = chunk.BLAKE3 // the size of a tree is proven by the content's last block only
	}
	options := chunk.PartialOptions{Fsync: n.cfg.Fsync, Also: g.Also}
	if g.own && 0 <= g.Size && g.Size <= smallContent {
		options.FS = chunk.InMemory{Max: smallContent}
	}
	p, err := chunk.OpenPartial(g.Path, id, options)
	if errors.Is(err, chunk.ErrLocked) {
		return Got{}, &LockedError{Path: chunk.PartName(g.Path)}
	}
	if err != nil {
		return Got{}, err
	}
	got := Got{Path: g.Path, Resumed: p.DoneBytes()}
	stats, err := n.download(ctx, g, id, p)
	got.streamed = g.streams()
	got.Fetched, got.Asked = stats.Fetched, int(stats.Asked)
	if err != nil {
		end := p.Close
		_, hint := errors.AsType[*transfer.HintError](err)
		missed := (errors.Is(err, transfer.ErrNotFound) || errors.Is(err, errElsewhere)) && g.hinted || p.DoneBytes() == 0 &&
			(errors.Is(err, transfer.ErrNotFound) || errors.Is(err, errElsewhere) || errors.Is(err, context.Canceled))
		if hint || missed || g.hinted && errors.Is(err, transfer.ErrIntegrity) {
			end = p.Remove // nothing to keep, and the other id wants the place
		}
		if p.DoneBytes() == 0 {
			n.library.uncount(g.Path) // or each path that nobody had anything for stayed
		}
		return got, errors.Join(translate(err, g, stats), end())
	}
	if got.Size, _ = p.Size(); g.ID.Kind == chunk.BLAKE3Tree {
		return got, n.finishTree(ctx, g, p, &got)
	}
	if got.Sums, err = n.check(ctx, g, p); err != nil {
		end := p.Close
		if g.hinted && errors.Is(err, ErrIntegrity) {
			end = p.Remove // it is something else
		}
		return got, errors.Join(err, end())
	}
	if err := p.Finish(chunk.FinishOptions{Replace: g.Force}); errors.Is(err, chunk.ErrExists) {
		return got, errors.Join(fmt.Errorf("%s: %w", g.Path, ErrExists), p.Close())
	} else if errors.Is(err, chunk.ErrLocked) { // a small one, which is written only now
		return got, errors.Join(&LockedError{Path: chunk.PartName(g.Path)}, p.Close())
	} else if err != nil && !errors.Is(err, chunk.ErrLeftover) {
		return got, errors.Join(err, p.Close())
	}
	if g.own {
		return got, p.Close()
	}
	return got, n.library.keep(g.Path, p, got.Sums)
}

// download runs the transfer; meanwhile what is verified is served.
func (n *Node) download(ctx context.Context, g Get, id chunk.ID, p *chunk.Partial) (transfer.Stats, error) {
	if empty(id) {
		return transfer.Stats{}, p.SetSize(0)
	}
	if id.Kind == chunk.BLAKE3 {
		tree := chunk.ID{Kind: chunk.BLAKE3Tree, Hash: id.Hash}
		served := n.library.counter
		if g.own {
			served = n.library.passing
		}
		defer n.library.arrives(id, &fetching{partial: p, blake3: id.Hash, served: served(g.Path)})()
		defer n.library.arrives(tree, &fetchingTree{partial: p})()
	}
	n.giveHints(g.Peers)
	batch := n.swarm.Gate.Borrow()
	defer n.swarm.Gate.GiveBack(batch)
	c := transfer.Config{
		ID:           id,
		TreeOnly:     g.ID.Kind == chunk.BLAKE3Tree,
		File:         p,
		Refuse:       g.refuse,
		Batch:        batch,
		Peers:        peers{n.swarm, n.deny},
		Find:         n.finder(id, g.Peers),
		Up:           n.up,
		Down:         n.down,
		Share:        g.share,
		Rand:         n.random(),
		Congestion:   n.cfg.Congestion,
		FindTimeout:  g.FindTimeout,
		StallTimeout: g.StallTimeout,
	}
	if id.Kind == chunk.BLAKE3 && g.Also.Kind == chunk.SHA256 {
		c.Also = g.Also
	}
	if g.Progress != nil || g.arrival != nil {
		r := rateMeter{}
		c.Progress = func(t transfer.Progress) { g.tell(r.progress(t, time.Now())) }
	}
	switch {
	case g.ID.Kind == chunk.BLAKE3Tree: // nobody reads the content
	case id.Kind == chunk.BLAKE3:
		c.Demand = transfer.NewDemand(p)
	default:
		c.Demand = transfer.NewUnverifiedDemand(p)
	}
	if g.arrival != nil && c.Demand != nil {
		// By a BLAKE3 that a peer told for a sha256 each block is that peer's, which is not yet what was asked for.
		g.arrival.attach(c.Demand, id.Kind == chunk.BLAKE3 && !g.hinted)
	}
	run := n.downloads.Run
	if g.streams() {
		run = func(ctx context.Context, c transfer.Config) (transfer.Stats, error) { return n.stream(ctx, g.Out, c) }
	}
	stats, err := run(ctx, c)
	if c.Demand != nil {
		c.Demand.End(err) // stream has done so
	}
	if errors.Is(err, transfer.ErrRunning) {
		return stats, cmp.Or(n.downloads.Await(ctx, id), errElsewhere)
	}
	return stats, err
}

// tell passes a look on to who wants it.
func (g *Get) tell(p Progress) {
	if g.arrival != nil {
		g.arrival.note(p)
	}
	if g.Progress != nil {
		g.Progress(p)
	}
}

// streams says whether bytes go out as they arrive: what has no BLAKE3 is not verified
// before the end.
func (g *Get) streams() bool { return g.Out != nil && g.ID.Kind == chunk.BLAKE3 }

// stream runs a transfer and meanwhile writes what is verified, in order. When that fails
// nobody wants the rest.
func (n *Node) stream(ctx context.Context, out io.Writer, c transfer.Config) (transfer.Stats, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := c.Demand.NewReader(ctx)
	written := make(chan error, 1)
	go func() {
		err := fits(out, r)
		if err == nil {
			_, err = io.Copy(out, r)
		}
		if err != nil {
			stop(err)
		}
		written <- errors.Join(err, r.Close())
	}()
	stats, err := n.downloads.Run(ctx, c)
	c.Demand.End(err)
	copied := <-written
	if cause := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && cause != nil {
		return stats, cause
	}
	if err != nil {
		return stats, err
	}
	return stats, copied
}

// bounded is a writer that takes so much and no more.
type bounded interface{ fits(size int64) error }

// fits says whether a writer takes all that a reader will give, as soon as that is proven.
func fits(out io.Writer, r *transfer.Reader) error {
	b, ok := out.(bounded)
	if !ok {
		return nil
	}
	size, err := r.Size()
	if err != nil {
		return err
	}
	return b.fits(size)
}

// giveHints has the addresses of a link tried as patiently as typed ones. A link is
// somebody else's word: in isolated mode only what is near counts, and at most
// maxHints ever.
func (n *Node) giveHints(hints []netip.AddrPort) {
	const maxHints = 8
	for _, a := range hints[:min(len(hints), maxHints)] {
		if !n.cfg.Isolated || n.swarm.Gate.Near(a) {
			n.swarm.Lend(a)
		}
	}
}

// empty says whether id is that of no bytes, which nobody need be asked for.
func empty(id chunk.ID) bool {
	if id.Kind == chunk.SHA256 {
		return id.Hash == sha256.Sum256(nil)
	}
	return id.Hash == chunk.RootOfBlock(nil)
}

// finder names addresses that may hold id: the user's and the link's first, then
// those that said or asked so, then the best of the swarm.
func (n *Node) finder(id chunk.ID, hints []netip.AddrPort) func(int) []netip.AddrPort {
	rng := n.random()
	return func(most int) []netip.AddrPort {
		now := time.Now()
		list := append([]netip.AddrPort(nil), n.cfg.Peers...)
		list = append(list, hints...)
		list = append(list, n.swarm.Holders.Of(id)...)
		for _, p := range n.swarm.Table.Best(most, now, rng) {
			list = append(list, p.Addr)
		}
		return list
	}
}

// check compares the other hash of a link, which nothing has verified yet.
func (n *Node) check(ctx context.Context, g Get, p *chunk.Partial) (chunk.Sums, error) {
	sums, err := p.Check(ctx, nil)
	if err != nil || !g.Also.Valid() {
		return sums, err
	}
	if g.Also.Kind == chunk.SHA256 && sums.SHA256 == (chunk.Hash{}) {
		if sums, err = chunk.Sum(ctx, io.NewSectionReader(p, 0, sums.Size), sums.Size, nil, nil); err != nil {
			return sums, err
		}
	}
	if !matches(sums, g.Also) {
		return sums, fmt.Errorf("%w: it is %s, but not %s as the link says", ErrIntegrity, g.ID, g.Also)
	}
	return sums, nil
}

// translate turns transfer's errors into the node's.
func translate(err error, g Get, s transfer.Stats) error {
	switch {
	case errors.Is(err, transfer.ErrNotFound):
		return &NotFoundError{ID: g.ID, Asked: int(s.Asked), After: g.FindTimeout}
	case errors.Is(err, transfer.ErrStalled):
		return ErrStalled
	case errors.Is(err, chunk.ErrLarger):
		return fmt.Errorf("%w: it has more bytes than was said", ErrIntegrity)
	case errors.Is(err, transfer.ErrIntegrity):
		return ErrIntegrity
	}
	return err
}
