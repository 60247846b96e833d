package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sharer/chunk"
	"sharer/folder"
)

// groupFiles is how many contents are fetched before they are synced together: each group costs the disk one sync.
const (
	groupFiles = 2000
	groupBytes = 4 << 30

	// Of contents that lie elsewhere a group lies here only until it is written to there.
	groupBytesRemote = 512 << 20
)

// fetched are bytes, by where they came from.
type fetched struct{ swarm, http int64 }

// fetch brings all contents that are missing into the store, in groups. What one group has brought stays, whatever
// happens to the next.
func (m *Mirror) fetch(ctx context.Context, files Files, p *Plan) (got fetched, err error) {
	m.mu.Lock()
	m.doing, m.done, m.total = Fetching, 0, p.FetchBytes
	spec := m.spec
	m.mu.Unlock()
	var group []folder.File
	var bytes int64
	most := int64(groupBytes)
	if m.set.cfg.Remote != nil {
		most = groupBytesRemote
	}
	seen := map[chunk.Hash]bool{}
	slow := false
	flush := func() error {
		g, err := m.group(ctx, spec, group, &slow)
		got.swarm, got.http = got.swarm+g.swarm, got.http+g.http
		group, bytes = group[:0], 0
		clear(seen)
		return err
	}
	err = files(func(f folder.File) error {
		if seen[f.BLAKE3] || m.set.contents.Has(f.BLAKE3) {
			return nil
		}
		seen[f.BLAKE3] = true
		group, bytes = append(group, f), bytes+f.Size
		if len(group) < groupFiles && bytes < most {
			return nil
		}
		return flush()
	})
	if err == nil && len(group) > 0 {
		err = flush()
	}
	return got, err
}

// group brings some contents, syncs them, and has them served. The error says how many did not come. slow is whether the
// swarm was slow before, and says it to the next group.
func (m *Mirror) group(ctx context.Context, spec Spec, files []folder.File, slow *bool) (got fetched, err error) {
	files, err = m.adopt(ctx, files)
	if err != nil || len(files) == 0 {
		return got, err
	}
	b := newBringing(m, spec, files)
	err = b.run(ctx, slow)
	good := b.good
	if ended := m.set.ctx.Err(); ended != nil { // what came lies there for the next run, and is not synced while somebody waits for the end
		return b.got, errors.Join(err, ended)
	}
	for i := range good {
		if good[i].SHA256 == (chunk.Hash{}) && err == nil {
			good[i].SHA256, err = sha256Of(ctx, filepath.Join(m.set.cfg.Blobs.New(), NewName(good[i].BLAKE3)), good[i])
		}
	}
	kept, keepErr := m.set.contents.Keep(ctx, good)
	if offerErr := m.set.cfg.Shelf.Offer(kept); keepErr == nil {
		keepErr = offerErr
	}
	if err = errors.Join(err, keepErr); err == nil && len(good) < len(files) {
		err = fmt.Errorf("%d of %d contents did not come: %w", len(files)-len(good), len(files), b.first)
	}
	return b.got, err
}

// adopt takes over what lies where contents are kept from before, has it served, and returns the rest.
func (m *Mirror) adopt(ctx context.Context, files []folder.File) (rest []folder.File, err error) {
	kept, err := m.set.contents.adopt(ctx, files)
	if err != nil || len(kept) == 0 {
		return files, err
	}
	if err := m.set.cfg.Shelf.Offer(kept); err != nil {
		return nil, err
	}
	is := make(map[chunk.Hash]bool, len(kept))
	for _, k := range kept {
		is[k.Sums.BLAKE3] = true
		m.came(k.Sums.Size)
	}
	for _, f := range files {
		if !is[f.BLAKE3] {
			rest = append(rest, f)
		}
	}
	return rest, nil
}

// came counts for who looks.
func (m *Mirror) came(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += bytes
}

// bringing is the fetching of one group, from the swarm and from plain copies. One goroutine runs it; take is never
// called concurrently.
type bringing struct {
	m      *Mirror
	spec   Spec
	want   []folder.File          // under the names that they arrive by
	byName map[string]folder.File // as they are in the folder
	copies bool                   // there are plain ones

	there map[string]bool
	good  []folder.File
	got   fetched
	first error // why something did not come
}

func newBringing(m *Mirror, spec Spec, files []folder.File) *bringing {
	b := &bringing{m: m, spec: spec, byName: make(map[string]folder.File, len(files)), there: make(map[string]bool, len(files)), copies: len(spec.HTTP) > 0 && m.set.cfg.HTTP != nil}
	for _, f := range files {
		name := NewName(f.BLAKE3)
		b.byName[name] = f
		b.want = append(b.want, folder.File{Path: name, Size: f.Size, BLAKE3: f.BLAKE3, SHA256: f.SHA256})
	}
	return b
}

func (b *bringing) run(ctx context.Context, slow *bool) (err error) {
	if b.copies && *slow {
		b.plain(ctx) // the swarm is for what is not there
	}
	if rest := b.missing(); len(rest) > 0 {
		err = b.swarm(ctx, rest, b.copies && !*slow)
	}
	if b.copies && !*slow && ctx.Err() == nil && len(b.there) < len(b.want) {
		*slow = errors.Is(err, errSlow)
		b.plain(ctx)
		if rest := b.missing(); *slow && len(rest) > 0 && ctx.Err() == nil {
			err = b.swarm(ctx, rest, false) // better slow than not at all
		}
	}
	if errors.Is(err, errSlow) {
		return nil
	}
	return err
}

func (b *bringing) missing() (rest []folder.File) {
	for _, f := range b.want {
		if !b.there[f.Path] {
			rest = append(rest, f)
		}
	}
	return rest
}

func (b *bringing) take(f folder.File, from *int64) {
	if b.copies {
		_ = os.Remove(filepath.Join(b.m.set.cfg.Blobs.New(), f.Path+plainSuffix)) // what a plain copy has begun; there may be nothing
	}
	b.there[f.Path] = true
	b.good = append(b.good, b.byName[f.Path])
	*from += f.Size
	b.m.came(f.Size)
}

func (b *bringing) swarm(ctx context.Context, files []folder.File, watched bool) error {
	o := Order{Dir: b.m.set.cfg.Blobs.New(), Files: files, Down: b.spec.Rules.Down}
	return b.m.fromSwarm(ctx, o, func(f folder.File, err error) {
		if err == nil {
			b.take(f, &b.got.swarm)
		} else if b.first == nil {
			b.first = err
		}
	}, watched)
}

func (b *bringing) plain(ctx context.Context) {
	rest := b.missing()
	for i := range rest {
		rest[i] = b.byName[rest[i].Path]
	}
	b.m.fromPlain(ctx, b.spec, rest, func(f folder.File) {
		f.Path = NewName(f.BLAKE3)
		b.take(f, &b.got.http)
	})
}

func sumFile(ctx context.Context, path string, size int64) (chunk.Sums, error) {
	f, _, err := chunk.OpenRegular(path)
	if err != nil {
		return chunk.Sums{}, err
	}
	defer f.Close()
	return chunk.Sum(ctx, f, size, nil, nil)
}

// sha256Of is for manifests that do not say it.
func sha256Of(ctx context.Context, path string, f folder.File) (chunk.Hash, error) {
	sums, err := sumFile(ctx, path, f.Size)
	if err == nil && sums.BLAKE3 != f.BLAKE3 {
		err = fmt.Errorf("%s is not the content that was fetched", path)
	}
	return sums.SHA256, err
}
