package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"

	"sharer/internal/atomicfile"
)

// saved is what a daemon keeps, one JSON document that is replaced as a whole.
type saved struct {
	V       int     `json:"v"`
	LastJob int     `json:"last_job"` // number of the job that was made last
	Seeds   []*Seed `json:"seeds,omitempty"`
	Jobs    []*Job  `json:"jobs,omitempty"`

	Published []*Published `json:"published,omitempty"`
	Pins      []Pin        `json:"pins,omitempty"`
	DenyLists []DenyList   `json:"deny_lists,omitempty"`

	Limits *string          `json:"limits,omitempty"` // as it was typed; nil: what the daemon was started with
	Bans   []netip.Prefix   `json:"bans,omitempty"`
	Peers  []netip.AddrPort `json:"peers,omitempty"` // asked for ever
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

// errDamaged is wrapped by the error for a document that cannot be read.
var errDamaged = errors.New("it is damaged")

// read reads the document.
func (k *keeper) read() (s saved, err error) {
	text, err := os.ReadFile(k.path)
	if err != nil {
		return saved{}, err
	}
	if err := json.Unmarshal(text, &s); err != nil || s.V < 1 {
		return saved{}, fmt.Errorf("%s: %w", k.path, errDamaged)
	}
	if s.V > savedVersion {
		return saved{}, fmt.Errorf("%s was written by a newer sharer (version %d of it, this one knows %d)", k.path, s.V, savedVersion)
	}
	s.Seeds = slices.DeleteFunc(s.Seeds, func(x *Seed) bool { return x == nil })
	s.Jobs = slices.DeleteFunc(s.Jobs, func(x *Job) bool { return x == nil })
	return s, nil
}

// load reads the document, an empty one if there is none. aside: it was damaged, and now has that name.
func (k *keeper) load() (s saved, aside string, err error) {
	switch s, err = k.read(); {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case errors.Is(err, errDamaged):
		s = saved{}
		aside, err = k.moveAside()
	}
	return s, aside, err
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
	return atomicfile.Write(k.path, text, atomicfile.How{})
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
