package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"sharer/chunk"
	"sharer/index"
	"sharer/transfer"
)

// What this node itself holds, and gives up.

// counter counts what is read to be sent of a path: by the topmost root that it lies below, else by itself.
func (l *library) counter(path string) *atomic.Int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counterLocked(l.rootLocked(path))
}

// passing is counter for a path that has what arrives only for a while: if it lies below no root nobody will ask for it, and a
// counter for each content that was ever fetched would stay.
func (l *library) passing(path string) *atomic.Int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := l.rootLocked(path); l.isRoot[key] {
		return l.counterLocked(key)
	}
	return new(atomic.Int64)
}

// rootLocked is the topmost root that a path lies below, or the path.
func (l *library) rootLocked(path string) string {
	key := path
	for dir := path; ; dir = filepath.Dir(dir) {
		if l.isRoot[dir] {
			key = dir
		}
		if dir == filepath.Dir(dir) {
			return key
		}
	}
}

func (l *library) counterLocked(key string) *atomic.Int64 {
	c := l.served[key]
	if c == nil {
		c = new(atomic.Int64)
		l.served[key] = c
	}
	return c
}

// within says whether path is root, or lies below.
func within(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || os.IsPathSeparator(rest[0]) || root != "" && os.IsPathSeparator(root[len(root)-1]))
}

// Served is how many bytes were read to be sent to peers, of what was seeded as root or fetched to that path, since the start.
func (n *Node) Served(root string) int64 {
	n.library.mu.RLock()
	defer n.library.mu.RUnlock()
	if c := n.library.served[root]; c != nil {
		return c.Load()
	}
	return 0
}

// Tally has what is served below a folder counted together, by Served; it offers nothing.
func (n *Node) Tally(root string) {
	n.library.mu.Lock()
	defer n.library.mu.Unlock()
	n.library.isRoot[root] = true
}

// OfferRoot has what is offered below a folder listed, and counted together by Served; it offers nothing.
func (n *Node) OfferRoot(root string) { n.library.offerRoot(root) }

// ForgetRoot is the reverse of OfferRoot.
func (n *Node) ForgetRoot(root string) {
	l := n.library
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roots = slices.DeleteFunc(l.roots, func(r string) bool { return r == root })
	delete(l.isRoot, root)
	l.uncountLocked(root)
}

// WithdrawRoot ends the offering of a root, of all below it, and of a download that has that path. What the index knows stays:
// seeding it again reads nothing. Another root below or above it has to be seeded again. The node's own files, if its state folder is below
// the root, have nothing to do with it.
func (n *Node) WithdrawRoot(root string) error {
	l := n.library
	var err error
	if n.state != nil {
		own, aerr := filepath.Abs(n.cfg.StateDir)
		withhold := func(e index.Entry) error {
			if aerr != nil || !within(e.Place.Path, own) || within(root, own) {
				l.withhold(e.Place.Path)
			}
			return nil
		}
		err = n.state.index.Under(root, withhold)
		if real, rerr := filepath.EvalSymlinks(root); rerr == nil && real != root {
			err = errors.Join(err, n.state.index.Under(real, withhold))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	below := func(r string) bool { return within(r, root) } // files of a folder that was fetched are roots themselves
	l.roots = slices.DeleteFunc(l.roots, below)
	maps.DeleteFunc(l.isRoot, func(r string, _ bool) bool { return below(r) })
	maps.DeleteFunc(l.served, func(r string, _ *atomic.Int64) bool { return below(r) })
	clear(l.recent) // made again by the next question for each
	l.order = l.order[:0]
	return errors.Join(err, l.letGoOfLocked(func(k kept) bool { return within(k.path, root) }))
}

// LetGo ends the serving of a finished download from its open descriptors, which would keep the room on disk of a file that was
// removed. From now on it is served from its path, if that is offered.
func (n *Node) LetGo(path string) error {
	l := n.library
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uncountLocked(path)
	return l.letGoOfLocked(func(k kept) bool { return k.path == path })
}

func (l *library) letGoOfLocked(which func(kept) bool) (err error) {
	l.kept = slices.DeleteFunc(l.kept, func(k kept) bool {
		if !which(k) {
			return false
		}
		err = errors.Join(err, l.letGoLocked(k))
		return true
	})
	return err
}

// uncount forgets what was read of a path from which nothing is served any more.
func (l *library) uncount(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uncountLocked(path)
}

func (l *library) uncountLocked(path string) {
	if !l.isRoot[path] {
		delete(l.served, path)
	}
}

// withhold is the end of offer. An open descriptor would keep the room of a file that is removed then.
func (l *library) withhold(path string) {
	l.sources.Forget(path)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.offered, pathHash(path))
}

// Lookup returns what is offered under id, and where it lies; index.ErrNotFound if nothing is.
func (n *Node) Lookup(id chunk.ID) (index.Content, []index.Place, error) {
	if n.state == nil {
		return index.Content{}, nil, index.ErrNotFound
	}
	content, places, err := n.state.index.Lookup(id)
	if err != nil {
		return index.Content{}, nil, err
	}
	n.library.mu.RLock()
	defer n.library.mu.RUnlock()
	places = slices.DeleteFunc(places, func(p index.Place) bool { return !n.library.offersLocked(p.Path) })
	if len(places) == 0 {
		return index.Content{}, nil, index.ErrNotFound
	}
	return content, places, nil
}

// Under calls fn for each file below path that is offered, in the order of paths.
func (n *Node) Under(path string, fn func(index.Entry) error) error {
	if n.state == nil {
		return nil
	}
	return n.state.index.Under(path, func(e index.Entry) error {
		n.library.mu.RLock()
		offers := n.library.offersLocked(e.Place.Path)
		n.library.mu.RUnlock()
		if !offers {
			return nil
		}
		return fn(e)
	})
}

// Holders is how many other peers are known to hold a content, or a part of it.
func (n *Node) Holders(id chunk.ID) int { return len(n.swarm.Holders.Of(id)) }

// fromHere copies a content that this node offers already: no other peer need be asked. here is false when it does not, or
// when what it has turns out to be something else.
func (n *Node) fromHere(ctx context.Context, g Get) (got Got, here bool, err error) {
	if g.ID.Kind == chunk.BLAKE3Tree {
		return Got{}, false, nil
	}
	c := n.library.whole(g.ID)
	if c == nil {
		return Got{}, false, nil
	}
	f, err := chunk.CreateBeside(g.Path)
	if err != nil {
		return Got{}, false, err
	}
	size, from := c.Size(), io.ReaderAt(c)
	if p, ok := c.(interface{ plain() io.ReaderAt }); ok {
		from = p.plain() // it is not served to a peer
	}
	sums, err := chunk.Sum(ctx, io.TeeReader(io.NewSectionReader(from, 0, size), f), size, nil, nil)
	good := err == nil && matches(sums, g.ID)
	if good && g.Also.Valid() && !matches(sums, g.Also) {
		err = fmt.Errorf("%w: it is %s, but not %s as the link says", ErrIntegrity, g.ID, g.Also)
	}
	if err == nil && good {
		err = f.Chmod(0o644)
	}
	if err == nil && good && n.cfg.Fsync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && good {
		err = publish(f.Name(), g)
	}
	switch {
	case err == nil && good:
		return Got{Path: g.Path, Size: size, Sums: sums}, true, nil
	case errors.Is(err, chunk.ErrChanged), errors.Is(err, chunk.ErrSize), err == nil: // the file is not that any more
		return Got{}, false, os.Remove(f.Name())
	}
	return Got{}, false, errors.Join(err, os.Remove(f.Name()))
}

// whole returns a content all of which is here, or nil.
func (l *library) whole(id chunk.ID) transfer.Content {
	c, ok := l.Find(id)
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !ok || slices.Contains(l.coming[id], c) || c.Size() < 0 {
		return nil
	}
	return c
}
