package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sharer/chunk"
	"sharer/folder"
	"sharer/index"
	"sharer/internal/atomicfile"
	"sharer/transfer"
)

// offerFolder makes the manifest of a folder and offers it. It lies in the state folder, a file a page, and is served as
// seeded files are; manifests of earlier sessions are removed. It returns the paths of the pages, and the sums of the first, which is the
// folder's id. The caller has pagesMu: what one has written and not offered yet, another would clear.
func (n *Node) offerFolder(ctx context.Context, f folder.Folder) (paths []string, sums chunk.Sums, err error) {
	if n.state == nil {
		return nil, sums, ErrNoState
	}
	pages, err := f.Pages(ctx)
	if err != nil {
		return nil, sums, err
	}
	dir, err := filepath.Abs(filepath.Join(n.state.dir, "folders"))
	if err != nil {
		return nil, sums, err
	}
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = n.clearFolders(dir)
	}
	if err != nil {
		return nil, sums, fmt.Errorf("folders: %w", err)
	}
	entries := make([]index.Entry, 0, len(pages))
	for _, p := range pages {
		path := filepath.Join(dir, p.Sums.BLAKE3.String()+".json")
		stamp, err := writePage(path, p.Data)
		if err != nil {
			return nil, sums, fmt.Errorf("folders: %w", err)
		}
		paths = append(paths, path)
		entries = append(entries, index.Entry{
			Content: index.Content{SHA256: p.Sums.SHA256, BLAKE3: p.Sums.BLAKE3, Size: p.Sums.Size},
			Place:   index.Place{Path: path, Stamp: stamp},
		})
	}
	if err := n.state.index.Put(entries); err != nil {
		return nil, sums, err
	}
	for _, path := range paths {
		n.library.offer(path)
	}
	return paths, pages[0].Sums, nil
}

// OfferPage offers a page that was made here of what is offered at a root, such as the listing of a folder. It lies beside the
// manifests, and goes as those of ReplaceFolder do: the last few of a root are offered.
func (n *Node) OfferPage(ctx context.Context, root string, data []byte) (chunk.Sums, error) {
	if n.state == nil {
		return chunk.Sums{}, ErrNoState
	}
	sums, err := chunk.Sum(ctx, bytes.NewReader(data), int64(len(data)), nil, nil)
	if err != nil {
		return chunk.Sums{}, err
	}
	dir, err := filepath.Abs(filepath.Join(n.state.dir, "folders"))
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return chunk.Sums{}, fmt.Errorf("folders: %w", err)
	}
	n.library.pagesMu.Lock() // as in offerFolder
	defer n.library.pagesMu.Unlock()
	path := filepath.Join(dir, sums.BLAKE3.String()+".html")
	stamp, err := writePage(path, data)
	if err != nil {
		return chunk.Sums{}, fmt.Errorf("folders: %w", err)
	}
	e := index.Entry{Content: index.Content{SHA256: sums.SHA256, BLAKE3: sums.BLAKE3, Size: sums.Size}, Place: index.Place{Path: path, Stamp: stamp}}
	if err := n.state.index.Put([]index.Entry{e}); err != nil {
		return chunk.Sums{}, err
	}
	n.library.offer(path)
	return sums, n.replacePages(listingOf(root), []string{path})
}

// clearFolders removes what was not offered in this session.
func (n *Node) clearFolders(dir string) error {
	old, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range old {
		path := filepath.Join(dir, e.Name())
		n.library.mu.RLock()
		offers := n.library.offersLocked(path)
		n.library.mu.RUnlock()
		if offers {
			continue
		}
		if err := n.state.index.Forget(path); err != nil && !errors.Is(err, index.ErrNotFound) {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// writePage puts a page on disk under its final name, whole or not at all.
func writePage(path string, data []byte) (chunk.Stamp, error) {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, data) {
		// Listed again as it was: who is being given it goes on.
	} else if err := atomicfile.Write(path, data, atomicfile.How{Sync: atomicfile.Lazy}); err != nil { // it is made anew in each session
		return chunk.Stamp{}, err
	}
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return chunk.Stamp{}, err
	}
	return stamp, f.Close()
}

// keptPages bounds the memory for fetched manifests that are given on, in bytes: of one folder, and of all. The oldest go.
const keptPages = 16 << 20

// ReadFolder fetches the manifest of the folder whose id is g.ID, and offers it until later ones need its room. Of g the ID, Also,
// Peers and the timeouts are used. The error is one of Get, or wraps folder.ErrFormat.
func (n *Node) ReadFolder(ctx context.Context, g Get) (folder.Folder, error) {
	dir, err := os.MkdirTemp("", "sharer-folder-")
	if err != nil {
		return folder.Folder{}, err
	}
	defer os.RemoveAll(dir) // a failure leaves a megabyte in the system's folder for such things
	var pages [][]byte
	total := 0
	f, err := folder.Read(ctx, g.ID.Hash, func(ctx context.Context, h chunk.Hash) ([]byte, error) {
		page := Get{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: h}, Size: -1, Peers: g.Peers, FindTimeout: g.FindTimeout, StallTimeout: g.StallTimeout, own: true}
		if h == g.ID.Hash {
			page.Also = g.Also
		}
		page.Path = filepath.Join(dir, h.String())
		var out pageBuffer
		page.Out = &out
		if _, err := n.Get(ctx, page); err != nil {
			return nil, err
		}
		if total += len(out); total <= keptPages {
			pages = append(pages, out)
		}
		return out, nil
	})
	if err != nil {
		return folder.Folder{}, err
	}
	for _, p := range pages {
		if err := n.library.keepPage(ctx, p); err != nil {
			return folder.Folder{}, err
		}
	}
	return f, nil
}

// pageBuffer takes a page, and stops the download of what is too long for one.
type pageBuffer []byte

func (b *pageBuffer) Write(p []byte) (int, error) {
	if err := b.fits(int64(len(*b) + len(p))); err != nil {
		return 0, err
	}
	*b = append(*b, p...)
	return len(p), nil
}

func (*pageBuffer) fits(size int64) error {
	if size > folder.MaxPage {
		return fmt.Errorf("%w: it has more than %d bytes", folder.ErrFormat, folder.MaxPage)
	}
	return nil
}

var _ bounded = (*pageBuffer)(nil)

// keepPage serves a page from memory.
func (l *library) keepPage(ctx context.Context, data []byte) error {
	var tree memory
	sums, err := chunk.Sum(ctx, strings.NewReader(string(data)), int64(len(data)), &tree, nil)
	if err != nil {
		return err
	}
	page := &pageContent{Reader: strings.NewReader(string(data)), blake3: sums.BLAKE3}
	p := readPage{bytes: len(data), contents: map[chunk.ID]transfer.Content{
		{Kind: chunk.SHA256, Hash: sums.SHA256}:     page,
		{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}:     page,
		{Kind: chunk.BLAKE3Tree, Hash: sums.BLAKE3}: &pageContent{Reader: strings.NewReader(string(tree.b))},
	}}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, old := range l.pages { // read again: it is the latest now
		if old.contents[chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}] != nil {
			l.dropPageLocked(i)
			break
		}
	}
	maps.Copy(l.fetched, p.contents)
	l.pages = append(l.pages, p)
	l.pageBytes += p.bytes
	for l.pageBytes > keptPages {
		l.dropPageLocked(0)
	}
	return nil
}

// readPage is a page of a manifest that somebody here has read, by its ids.
type readPage struct {
	contents map[chunk.ID]transfer.Content
	bytes    int
}

func (l *library) dropPageLocked(i int) {
	for id, c := range l.pages[i].contents {
		if l.fetched[id] == c { // not that of a download
			delete(l.fetched, id)
		}
	}
	l.pageBytes -= l.pages[i].bytes
	l.pages = slices.Delete(l.pages, i, i+1)
}

// pageContent is a page, or its tree, in memory.
type pageContent struct {
	*strings.Reader            // ReadAt and Size; nobody moves its position
	blake3          chunk.Hash // zero: of a tree
}

var _ transfer.Content = (*pageContent)(nil)

func (p *pageContent) Have(int64, int) []chunk.Range { return nil }
func (p *pageContent) BLAKE3() (chunk.Hash, bool)    { return p.blake3, p.blake3 != chunk.Hash{} }
