package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sharer/folder"
	"sharer/link"
	"sharer/seed"
)

// seededFolder gathers what a folder of the command line holds.
type seededFolder struct {
	arg   string // as given
	root  string // absolute
	files []folder.File
	left  int // files that no manifest can hold
}

// expectFolders remembers which arguments are folders.
func (h *hashing) expectFolders(args []string) error {
	for _, a := range args {
		fi, err := os.Stat(a)
		if err != nil || !fi.IsDir() {
			continue // the scan says what is wrong with it
		}
		root, err := filepath.Abs(a)
		if err != nil {
			return err
		}
		if h.folder(root) == nil {
			h.folders = append(h.folders, &seededFolder{arg: a, root: root})
		}
	}
	return nil
}

func (h *hashing) folder(root string) *seededFolder {
	for _, f := range h.folders {
		if f.root == root {
			return f
		}
	}
	return nil
}

// inFolder notes a file for the manifest of its folder. One whose name none can hold is left out, and named.
func (h *hashing) inFolder(f seed.File) {
	in := h.folder(f.Root)
	if in == nil {
		return
	}
	path := filepath.ToSlash(f.Rel)
	if err := folder.CheckPath(path); err != nil {
		in.left++
		h.scr.warn(warningEvent{Path: f.Path, Message: fmt.Sprintf("%s: not part of the folder's link, since its path %s; it has its own", escape(f.Path), err)})
		return
	}
	const second = 1e9 // nanoseconds
	mtime := f.Stamp.Mtime / second
	if mtime < 0 || mtime > folder.MaxMtime {
		mtime = 0
	}
	in.files = append(in.files, folder.File{Path: path, Size: f.Content.Size, BLAKE3: f.Content.BLAKE3, SHA256: f.Content.SHA256, Mtime: mtime, Executable: f.Executable})
}

// offerFolders makes the manifests, and says what became of them.
func (h *hashing) offerFolders(p seeder) (offers []folderOffer, err error) {
	for _, in := range h.folders {
		if len(in.files) == 0 {
			continue
		}
		name := filepath.Base(in.root)
		if folder.CheckPath(name) != nil {
			name = ""
		}
		f, err := folder.New(name, in.files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.arg, err)
		}
		sums, err := p.OfferFolder(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.arg, err)
		}
		offers = append(offers, folderOffer{
			Path: in.root, PathBytes: pathBytes(in.root), Link: link.ForFolder(sums, f.Name, f.Size()).String(),
			Files: len(f.Files), Bytes: f.Size(), Left: in.left,
		})
		in.files = nil
	}
	return offers, nil
}
