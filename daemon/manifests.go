package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sharer/chunk"
	"sharer/folder"
	"sharer/seed"
)

// offerer takes manifests; *node.Node is one.
type offerer interface {
	ReplaceFolder(ctx context.Context, root string, f folder.Folder) (chunk.Sums, error)
}

// manifests gathers what the folders of one scan hold, some 300 bytes a file until they are offered.
type manifests struct {
	order  []string
	byRoot map[string]*manifest
}

type manifest struct {
	files []folder.File
	left  int // files that no manifest can hold
}

// manifestsOf expects what the paths that are folders hold. One that cannot be looked at is the scan's to report.
func manifestsOf(roots []string) *manifests {
	m := &manifests{byRoot: map[string]*manifest{}}
	for _, root := range roots {
		if fi, err := os.Stat(root); err == nil && fi.IsDir() && m.byRoot[root] == nil {
			m.order = append(m.order, root)
			m.byRoot[root] = &manifest{}
		}
	}
	return m
}

// take notes a file for the manifest of its folder. The error is why none can hold it.
func (m *manifests) take(f seed.File) error {
	in := m.byRoot[f.Root]
	if in == nil {
		return nil
	}
	path := filepath.ToSlash(f.Rel)
	if err := folder.CheckPath(path); err != nil {
		in.left++
		return fmt.Errorf("not part of the folder's link, since its path %w; it has its own", err)
	}
	const second = 1e9 // nanoseconds
	mtime := f.Stamp.Mtime / second
	if mtime < 0 || mtime > folder.MaxMtime {
		mtime = 0
	}
	in.files = append(in.files, folder.File{Path: path, Size: f.Content.Size, BLAKE3: f.Content.BLAKE3, SHA256: f.Content.SHA256, Mtime: mtime, Executable: f.Executable})
	return nil
}

// offer makes the manifests of folders that have files, offers them, and tells of each.
func (m *manifests) offer(ctx context.Context, to offerer, tell func(seed.Folder, folder.Folder) error) error {
	for _, root := range m.order {
		in := m.byRoot[root]
		if len(in.files) == 0 {
			continue
		}
		name := filepath.Base(root)
		if folder.CheckPath(name) != nil {
			name = ""
		}
		f, err := folder.New(name, in.files)
		if err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
		sums, err := to.ReplaceFolder(ctx, root, f)
		if err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
		in.files = nil
		if err := tell(seed.Folder{Root: root, Name: name, Sums: sums, Files: len(f.Files), Bytes: f.Size(), Left: in.left}, f); err != nil {
			return err
		}
	}
	return nil
}
