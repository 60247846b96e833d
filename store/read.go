package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sharer/chunk"
)

// Read returns what lies in a store, by its own word, without opening it: nothing is checked and nothing changed, so that it may be
// another process's. Without a folder there is nothing. Hashes and times that are not noted are zero.
func Read(dir string) (entries []Entry, err error) {
	subs, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, sub := range subs {
		if len(sub.Name()) != 2 || !sub.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, sub.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			blake3, err := chunk.ParseHash(sub.Name() + f.Name())
			if err != nil {
				continue // what stands beside a content, or arrives
			}
			fi, err := f.Info()
			if err != nil {
				continue // removed just now
			}
			e := Entry{Path: filepath.Join(dir, sub.Name(), f.Name()), Sums: chunk.Sums{BLAKE3: blake3, Size: fi.Size()}}
			var m meta
			if text, err := os.ReadFile(e.Path + metaSuffix); err == nil && json.Unmarshal(text, &m) == nil {
				e.Name, e.Added, e.Used, e.Pins, e.Stamp = m.Name, m.Added, m.Used, m.Pins, m.Stamp
				if h, err := chunk.ParseHash(m.SHA256); err == nil {
					e.Sums.SHA256 = h
				}
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}
