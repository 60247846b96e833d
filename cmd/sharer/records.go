package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sharer/chunk"
	"sharer/control"
	"sharer/daemon"
	"sharer/folder"
	"sharer/index"
	"sharer/link"
	"sharer/store"
)

// records are what the state folder knows of contents. They are read from a copy of the index: that works beside a daemon, and also
// when its lock is held by a process that does not answer; and nothing is changed, not even a damaged index.
type records struct {
	dir  string // the state folder
	temp string
	ix   *index.Index // nil: there is none yet
}

// errIndexDamaged is returned when there is nothing to compare with.
var errIndexDamaged = errors.New("the index is damaged. The next sharer seed, or daemon, makes a new one from the files")

func openRecords(o *options, s *stdio) (_ *records, err error) {
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil { // as the index has its paths
		return nil, err
	}
	r := &records{dir: dir}
	if r.temp, err = os.MkdirTemp("", "sharer-index-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	// A copy that was taken while somebody wrote may be torn.
	const attempts = 5
	for range attempts {
		to := filepath.Join(r.temp, "index.db")
		err = copyOut(filepath.Join(dir, "index.db"), to)
		if errors.Is(err, fs.ErrNotExist) {
			return r, nil
		}
		if err != nil {
			return nil, pathError(err)
		}
		if r.ix, err = index.Open(to, index.Options{}); err != nil {
			return nil, err
		}
		if r.ix.Recovered() == "" {
			return r, nil
		}
		err = errors.Join(r.ix.Close(), os.Remove(to))
		if r.ix = nil; err != nil {
			return nil, err
		}
	}
	return nil, &codedError{exitIntegrity, errIndexDamaged}
}

func copyOut(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (r *records) close() {
	if r.ix != nil {
		_ = r.ix.Close() // of a copy
	}
	os.RemoveAll(r.temp) // best effort on the way out: the system cleans its folder too
}

// all calls f with everything that is known, but for the node's own lists of folders.
func (r *records) all(f func(index.Entry) error) error {
	stored, err := r.stored()
	if err != nil {
		return err
	}
	for _, e := range stored {
		if err := f(e); err != nil {
			return err
		}
	}
	if r.ix == nil {
		return nil
	}
	own := filepath.Join(r.dir, "folders") + string(filepath.Separator)
	elsewhere := filepath.Join(r.dir, "remote") + string(filepath.Separator) // contents of mirrors that lie in a store: their scrub reads them
	return r.ix.Each(func(e index.Entry) error {
		if strings.HasPrefix(e.Place.Path, own) || strings.HasPrefix(e.Place.Path, elsewhere) {
			return nil
		}
		return f(e)
	})
}

// stored is what lies in the store: its name there is its hash.
func (r *records) stored() ([]index.Entry, error) {
	kept, err := store.Read(filepath.Join(r.dir, "store"))
	if err != nil {
		return nil, err
	}
	var out []index.Entry
	for _, e := range kept {
		out = append(out, index.Entry{Content: index.Content{BLAKE3: e.Sums.BLAKE3, SHA256: e.Sums.SHA256, Size: e.Sums.Size}, Place: index.Place{Path: e.Path}})
	}
	return out, nil
}

// under is what is known at or below a path.
func (r *records) under(path string) (out []index.Entry, err error) {
	if r.ix == nil {
		return nil, nil
	}
	// What was seeded by way of a link is known by where that leads.
	err = r.ix.Under(realPath(path), func(e index.Entry) error {
		out = append(out, e)
		return nil
	})
	return out, err
}

// of returns the places of an id; of a folder those of all its files.
func (r *records) of(ctx context.Context, l link.Link) (out []index.Entry, err error) {
	if !l.Folder {
		return r.places(l.ID)
	}
	f, err := folder.Read(ctx, l.ID.Hash, r.page)
	if err != nil {
		return nil, err
	}
	for _, file := range f.Files {
		es, err := r.places(chunk.ID{Kind: chunk.BLAKE3, Hash: file.BLAKE3})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		out = append(out, es...)
	}
	return out, nil
}

// page reads a page of a list that the node made.
func (r *records) page(_ context.Context, h chunk.Hash) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(r.dir, "folders", h.String()+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNothing
	}
	return text, err
}

// errNothing is returned for an id that this node does not know.
var errNothing = errors.New("nothing is known here of it")

func (r *records) places(id chunk.ID) (out []index.Entry, err error) {
	if r.ix != nil {
		c, places, err := r.ix.Lookup(id)
		if err != nil && !errors.Is(err, index.ErrNotFound) {
			return nil, err
		}
		for _, p := range places {
			out = append(out, index.Entry{Content: c, Place: p})
		}
	}
	stored, err := r.stored()
	if err != nil {
		return nil, err
	}
	for _, e := range stored {
		if id.Kind == chunk.BLAKE3 && e.Content.BLAKE3 == id.Hash || id.Kind == chunk.SHA256 && e.Content.SHA256 == id.Hash {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, errNothing
	}
	return out, nil
}

// offeredAt is what is offered of a path, as a seed or as fetched: of what runs, or of what a daemon has kept; nil: nothing is.
func (r *records) offeredAt(ctx context.Context, path string) (*control.Item, error) {
	var items []control.Item
	c, err := control.Dial(ctx, r.dir)
	if err == nil {
		defer c.Close()
		items, err = c.Items(ctx)
	} else {
		items, _, err = daemon.Snapshot(r.dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	real := realPath(path)
	for i := range items {
		if (items[i].Kind == "seed" || items[i].State == "seeding") && items[i].Path != "" && (string(items[i].Path) == path || realPath(string(items[i].Path)) == real) {
			return &items[i], nil
		}
	}
	return nil, nil
}

// realPath is where a path leads, itself if it leads nowhere.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
