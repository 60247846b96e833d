package node

import (
	"context"
	"crypto/sha256"
	"io"
	"net/netip"
	"path/filepath"
	"slices"

	"sharer/chunk"
	"sharer/identity"
	"sharer/index"
	"sharer/store"
)

// openStore opens the store below the state folder and offers what is in it.
func (n *Node) openStore() (err error) {
	n.state.store, err = store.Open(filepath.Join(n.state.dir, "store"), store.Options{
		Quota: n.cfg.StoreQuota, MinFree: n.cfg.StoreMinFree, Gone: n.library.left,
	})
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(n.state.store.List(), 1000) {
		if err := n.offerStored(batch...); err != nil {
			return err
		}
	}
	return nil
}

// Store is the store of the node; nil without a state folder of its own.
func (n *Node) Store() *store.Disk {
	if n.state == nil {
		return nil
	}
	return n.state.store
}

// offerStored lets contents of the store be served.
func (n *Node) offerStored(es ...store.Entry) error {
	var news []index.Entry
	for _, e := range es {
		place := index.Place{Path: e.Path, Stamp: e.Stamp}
		content := index.Content{SHA256: e.Sums.SHA256, BLAKE3: e.Sums.BLAKE3, Size: e.Sums.Size}
		if c, p, err := n.state.index.ByPath(e.Path); err != nil || c != content || p != place {
			news = append(news, index.Entry{Content: content, Place: place})
		}
	}
	if err := n.state.index.Put(news); err != nil {
		return err
	}
	for _, e := range es {
		n.library.offer(e.Path)
	}
	return nil
}

// left is told of a content that was taken out of the store.
func (l *library) left(e store.Entry) {
	c := index.Content{SHA256: e.Sums.SHA256, BLAKE3: e.Sums.BLAKE3, Size: e.Sums.Size}
	l.withdraw(&seeded{library: l, content: c}, index.Place{Path: e.Path, Stamp: e.Stamp})
}

// Who wants what is in the store to stay there: what the user has uploaded, and what he said to keep.
const (
	PinUpload = "upload"
	PinKept   = "kept"
)

// Keep takes a content into the store, where it stays, and shares it. The error is ErrNoState, one of package store, or that of r.
func (n *Node) Keep(ctx context.Context, name string, r io.Reader) (chunk.Sums, error) {
	if n.state == nil {
		return chunk.Sums{}, ErrNoState
	}
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return chunk.Sums{}, err
	}
	defer end()
	sums, err := n.state.store.Put(ctx, name, r)
	if err != nil {
		return chunk.Sums{}, err
	}
	if err := n.state.store.Pin(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}, PinUpload); err != nil {
		return chunk.Sums{}, err // it had to make room already
	}
	return sums, n.offerKept(sums)
}

// offerKept offers what was just taken into the store.
func (n *Node) offerKept(sums chunk.Sums) error {
	e, ok := n.state.store.Find(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3})
	if !ok {
		return store.ErrNotFound // it had to make room already
	}
	return n.offerStored(e)
}

// Discard takes a content out of the store; files of the user it does not touch.
func (n *Node) Discard(id chunk.ID) error {
	if n.state == nil {
		return ErrNoState
	}
	return n.state.store.Remove(id)
}

// land moves a finished download into the store and offers it. By BLAKE3 nobody has computed its sha256 yet: it is read once more.
func (n *Node) land(ctx context.Context, a *arrival, path string, sums chunk.Sums) (err error) {
	if sums.SHA256 == (chunk.Hash{}) {
		if sums.SHA256, err = sha256Of(ctx, path, sums.Size); err != nil {
			return err
		}
	}
	if _, err := n.state.store.Add(path, sums, a.name); err != nil {
		return err
	}
	if a.kept() {
		if err := n.state.store.Pin(a.id, PinKept); err != nil {
			return err
		}
	}
	return n.offerKept(sums)
}

// sha256Of hashes a file of size bytes.
func sha256Of(ctx context.Context, path string, size int64) (h chunk.Hash, err error) {
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return h, err
	}
	defer f.Close() // opened for reading
	if stamp.Size != size {
		return h, ErrIntegrity
	}
	sum := sha256.New()
	const step = 8 << 20 // between two looks at ctx
	for off := int64(0); off < size; off += step {
		if err := ctx.Err(); err != nil {
			return h, err
		}
		if _, err := io.Copy(sum, io.NewSectionReader(f, off, min(step, size-off))); err != nil {
			return h, err
		}
	}
	sum.Sum(h[:0])
	return h, nil
}

// KeysOf returns who lives at the addresses that have proven it, of the thousand that were heard from last.
func (n *Node) KeysOf() map[netip.AddrPort]identity.PublicKey {
	keys := map[netip.AddrPort]identity.PublicKey{}
	for _, p := range n.letters.opener.Places.Latest(1000) {
		if _, ok := keys[p.Addr]; !ok {
			keys[p.Addr] = p.Key
		}
	}
	return keys
}
