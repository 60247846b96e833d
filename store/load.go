package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/internal/atomicfile"
)

const metaSuffix = ".json"

// meta is what stands beside a content.
type meta struct {
	V      int         `json:"v"`
	SHA256 string      `json:"sha256,omitempty"`
	Name   string      `json:"name,omitempty"`
	Added  time.Time   `json:"added"`
	Used   time.Time   `json:"used"`
	Pins   []string    `json:"pins,omitempty"`
	Stamp  chunk.Stamp `json:"stamp"`
}

func (e *entry) write() error {
	m := meta{V: 1, Name: e.Name, Added: e.Added.UTC(), Used: e.Used.UTC(), Pins: e.Pins, Stamp: e.Stamp}
	if e.Sums.SHA256 != (chunk.Hash{}) {
		m.SHA256 = e.Sums.SHA256.String()
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	// A content whose meta file a power cut has emptied is read and verified again.
	return atomicfile.Write(e.Path+metaSuffix, text, atomicfile.How{Sync: atomicfile.Lazy})
}

// load reads what is there.
func (d *Disk) load() error {
	subs, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		if len(sub.Name()) != 2 && sub.Name() != "sha256" || !sub.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(d.dir, sub.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := d.loadFile(sub.Name(), f.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadFile takes one file over, or removes it.
func (d *Disk) loadFile(sub, name string) error {
	path := filepath.Join(d.dir, sub, name)
	if base, ok := strings.CutSuffix(path, metaSuffix); ok {
		if _, err := os.Lstat(base); errors.Is(err, fs.ErrNotExist) {
			return ignoreMissing(os.Remove(path)) // of a content that was being removed, or was just now
		}
		return nil
	}
	if strings.HasSuffix(name, metaSuffix+atomicfile.Suffix) {
		return os.Remove(path)
	}
	if target, ok := strings.CutSuffix(path, ".part"); ok {
		d.notePart(target)
		return nil
	}
	blake3, err := chunk.ParseHash(sub + name)
	if err != nil {
		return nil // one that arrives, or not ours
	}
	e, ok := d.known(path, blake3)
	if !ok {
		if e, ok = d.verify(path, blake3); !ok {
			return errors.Join(os.Remove(path), ignoreMissing(os.Remove(path+metaSuffix)))
		}
		if err := e.write(); err != nil {
			return err
		}
	}
	d.putLocked(e) // nobody else has it yet
	return nil
}

// known reads the meta file of a content; ok is false when it is not of the file as it is now.
func (d *Disk) known(path string, blake3 chunk.Hash) (*entry, bool) {
	text, err := os.ReadFile(path + metaSuffix)
	var m meta
	if err != nil || json.Unmarshal(text, &m) != nil {
		return nil, false
	}
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return nil, false
	}
	f.Close() // opened for reading
	if stamp != m.Stamp {
		return nil, false
	}
	e := &entry{Entry: Entry{Sums: chunk.Sums{BLAKE3: blake3, Size: stamp.Size}, Name: m.Name, Path: path, Stamp: stamp, Added: m.Added, Used: m.Used, Pins: m.Pins}}
	if m.SHA256 != "" {
		if e.Sums.SHA256, err = chunk.ParseHash(m.SHA256); err != nil {
			return nil, false
		}
	}
	return e, true
}

// verify hashes a file that is not known to be what its name says. What its meta file says beside stays, if there is one.
func (d *Disk) verify(path string, blake3 chunk.Hash) (*entry, bool) {
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return nil, false
	}
	defer f.Close() // opened for reading
	sums, err := chunk.Sum(context.Background(), f, stamp.Size, nil, nil)
	if err != nil || sums.BLAKE3 != blake3 {
		return nil, false
	}
	now := d.now()
	e := &entry{Entry: Entry{Sums: sums, Path: path, Stamp: stamp, Added: now, Used: now}}
	var m meta
	if text, err := os.ReadFile(path + metaSuffix); err == nil && json.Unmarshal(text, &m) == nil {
		e.Name, e.Pins = m.Name, m.Pins
	}
	return e, true
}
