package node

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"

	"sharer/chunk"
	"sharer/folder"
	"sharer/index"
	"sharer/seed"
)

// What a watch needs of a node, beside Seed.

// Withdraw stops offering files, at once. What is known of them stays in the index: a file that comes back as it was is not
// read again.
func (n *Node) Withdraw(paths ...string) {
	l := n.library
	for _, p := range paths {
		l.sources.Forget(p)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range paths {
		delete(l.offered, maphash.String(pathSeed, p))
		if l.isRoot[p] {
			l.roots = slices.DeleteFunc(l.roots, func(root string) bool { return root == p })
			delete(l.isRoot, p)
		}
	}
	clear(l.recent) // found again when somebody asks
	l.order = nil
}

// Uphold offers a file that Seed has told of, if it was withdrawn meanwhile.
func (n *Node) Uphold(f seed.File) {
	if f.Root == f.Path {
		n.library.offerRoot(f.Root)
	}
	n.library.offer(f.Path)
}

// Adopt offers under their new paths the files of moves whose old path is in the index with the very stamp. It returns those.
func (n *Node) Adopt(moves []seed.Move) ([]seed.File, error) {
	if n.state == nil {
		return nil, ErrNoState
	}
	var files []seed.File
	var entries []index.Entry
	for _, m := range moves {
		c, place, err := n.state.index.ByPath(m.From)
		if errors.Is(err, index.ErrNotFound) || err == nil && place.Stamp != m.Stamp {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, index.Entry{Content: c, Place: index.Place{Path: m.To, Stamp: m.Stamp}})
		files = append(files, seed.File{Path: m.To, Rel: m.Rel, Content: c, Stamp: m.Stamp, Reused: true, Executable: m.Executable})
	}
	return files, n.OfferFiles(entries)
}

// Forget removes from the index what is known of paths.
func (n *Node) Forget(paths ...string) error {
	if n.state == nil {
		return ErrNoState
	}
	for batch := range slices.Chunk(paths, indexBatch) {
		if err := n.state.index.ForgetAll(batch); err != nil {
			return err
		}
	}
	return nil
}

// Recorded returns what the index says of a path: its content, and with which stamp it had that.
func (n *Node) Recorded(path string) (index.Content, chunk.Stamp, bool) {
	if n.state == nil {
		return index.Content{}, chunk.Stamp{}, false
	}
	c, place, err := n.state.index.ByPath(path)
	return c, place.Stamp, err == nil
}

// manifestsKept is how many manifests of a folder are offered: who has an earlier link still learns what was there.
const manifestsKept = 4

// ReplaceFolder makes the manifest of a folder and offers it; the result are the sums that are the folder's id. The manifests that were offered for this root before are
// offered still, the last few of them.
func (n *Node) ReplaceFolder(ctx context.Context, root string, f folder.Folder) (chunk.Sums, error) {
	l := n.library
	l.pagesMu.Lock()
	defer l.pagesMu.Unlock()
	pages, sums, err := n.offerFolder(ctx, f)
	if err != nil {
		return chunk.Sums{}, err
	}
	return sums, n.replacePages(root, pages)
}

// listingOf is what the pages of OfferPage for a root go by among those of manifests: no path has such a name.
func listingOf(root string) string { return root + "\x00" }

// replacePages ends the offering of pages that were made for a root before the last few. The caller has pagesMu.
func (n *Node) replacePages(root string, pages []string) error {
	l := n.library
	if l.manifests == nil {
		l.manifests = map[string][][]string{}
	}
	of := append(l.manifests[root], pages)
	var old []string
	for ; len(of) > manifestsKept; of = of[1:] {
		old = append(old, of[0]...)
	}
	l.manifests[root] = of
	return n.withdrawPages(old)
}

// withdrawPages ends the offering of pages that no root has any more; the next manifest that is made removes the files. The caller has pagesMu.
func (n *Node) withdrawPages(old []string) error {
	for _, of := range n.library.manifests {
		for _, pages := range of {
			old = slices.DeleteFunc(old, func(p string) bool { return slices.Contains(pages, p) })
		}
	}
	if len(old) == 0 {
		return nil
	}
	return n.WithdrawFiles(old)
}

// DropFolder stops offering the manifests and pages of a root.
func (n *Node) DropFolder(root string) error {
	l := n.library
	l.pagesMu.Lock()
	defer l.pagesMu.Unlock()
	var old []string
	for _, key := range []string{root, listingOf(root)} {
		for _, pages := range l.manifests[key] {
			old = append(old, pages...)
		}
		delete(l.manifests, key)
	}
	return n.withdrawPages(old)
}
