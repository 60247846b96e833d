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

// group fetches some contents, syncs them, and has them served. The error says how many did not come. slow is whether the
// swarm was slow before, and says it to the next group.
func (m *Mirror) group(ctx context.Context, spec Spec, files []folder.File, slow *bool) (got fetched, err error) {
	blobs := m.set.cfg.Blobs
	byName := make(map[string]folder.File, len(files))
	want := make([]folder.File, 0, len(files))
	for _, f := range files {
		name := NewName(f.BLAKE3)
		byName[name] = f
		want = append(want, folder.File{Path: name, Size: f.Size, BLAKE3: f.BLAKE3, SHA256: f.SHA256})
	}
	var good []folder.File
	var first error
	came := make(map[string]bool, len(files))
	copies := len(spec.HTTP) > 0 && m.set.cfg.HTTP != nil
	take := func(f folder.File, from *int64) {
		if copies {
			_ = os.Remove(filepath.Join(blobs.New(), f.Path+plainSuffix)) // what a plain copy has begun; there may be nothing
		}
		came[f.Path] = true
		good = append(good, byName[f.Path])
		*from += f.Size
		m.mu.Lock()
		m.done += f.Size
		m.mu.Unlock()
	}
	swarm := func(want []folder.File, watched bool) error {
		return m.fromSwarm(ctx, Order{Dir: blobs.New(), Files: want, Down: spec.Rules.Down}, func(f folder.File, err error) {
			if err == nil {
				take(f, &got.swarm)
			} else if first == nil {
				first = err
			}
		}, watched)
	}
	missing := func() (rest []folder.File) {
		for _, f := range want {
			if !came[f.Path] {
				rest = append(rest, f)
			}
		}
		return rest
	}
	plain := func() {
		rest := missing()
		for i := range rest {
			rest[i] = byName[rest[i].Path]
		}
		m.fromPlain(ctx, spec, rest, func(f folder.File) {
			f.Path = NewName(f.BLAKE3)
			take(f, &got.http)
		})
	}
	if copies && *slow {
		plain() // the swarm is for what is not there
	}
	if rest := missing(); len(rest) > 0 {
		err = swarm(rest, copies && !*slow)
	}
	if copies && !*slow && ctx.Err() == nil && len(came) < len(want) {
		*slow = errors.Is(err, errSlow)
		plain()
		if rest := missing(); *slow && len(rest) > 0 && ctx.Err() == nil {
			err = swarm(rest, false) // better slow than not at all
		}
	}
	if errors.Is(err, errSlow) {
		err = nil
	}
	for i := range good {
		if good[i].SHA256 == (chunk.Hash{}) && err == nil {
			good[i].SHA256, err = sha256Of(ctx, filepath.Join(blobs.New(), NewName(good[i].BLAKE3)), good[i])
		}
	}
	kept, keepErr := m.set.contents.Keep(ctx, good)
	if offerErr := m.set.cfg.Shelf.Offer(kept); keepErr == nil {
		keepErr = offerErr
	}
	if err = errors.Join(err, keepErr); err == nil && len(good) < len(files) {
		err = fmt.Errorf("%d of %d contents did not come: %w", len(files)-len(good), len(files), first)
	}
	return got, err
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
