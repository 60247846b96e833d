package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// saved is what a daemon keeps, one JSON document that is replaced as a whole.
type saved struct {
	V       int     `json:"v"`
	LastJob int     `json:"last_job"` // number of the job that was made last
	Seeds   []*Seed `json:"seeds,omitempty"`
	Jobs    []*Job  `json:"jobs,omitempty"`

	Published []*Published `json:"published,omitempty"`
}

// savedVersion is that of the document. Fields are only ever added; a document of a later version is not touched.
const savedVersion = 1

// keeper reads and writes the document.
type keeper struct {
	path string

	mu sync.Mutex // one writer at a time
}

// maxBad is how many damaged documents are kept aside.
const maxBad = 9

// load reads the document. aside: it was damaged, and now has that name.
func (k *keeper) load() (s saved, aside string, err error) {
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return saved{V: savedVersion}, "", nil
	}
	if err != nil {
		return saved{}, "", err
	}
	if err := json.Unmarshal(text, &s); err != nil || s.V < 1 {
		aside, err = k.moveAside()
		return saved{V: savedVersion}, aside, err
	}
	if s.V > savedVersion {
		return saved{}, "", fmt.Errorf("%s was written by a newer sharer (version %d of it, this one knows %d)", k.path, s.V, savedVersion)
	}
	return s, "", nil
}

func (k *keeper) moveAside() (string, error) {
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.bad-%d", k.path, n)
		if _, err := os.Lstat(to); err == nil && n < maxBad {
			continue
		}
		return to, os.Rename(k.path, to)
	}
}

// store replaces the document: after a crash it is the old one or the new one.
func (k *keeper) store(s saved) error {
	s.V = savedVersion
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return replaceFile(k.path, text)
}

// replaceFile writes a file that is there before or after a crash, whole.
func replaceFile(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	return syncDir(filepath.Dir(path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
