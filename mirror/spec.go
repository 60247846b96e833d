package mirror

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
	"sharer/internal/atomicfile"
)

// Spec is what an operator wants a mirror to be. Either Key and Path say what is followed, or ID is a folder that does
// not change.
type Spec struct {
	Name  string             `json:"name"` // here: letters, digits, dot, dash, underscore
	Key   identity.PublicKey `json:"key,omitzero"`
	Path  string             `json:"path,omitempty"` // the name of the manifest, as the publisher signs it
	ID    chunk.Hash         `json:"id,omitzero"`
	Dir   string             `json:"dir"` // of the tree; absolute
	Rules Rules              `json:"rules"`
	Hooks Hooks              `json:"hooks"`
	HTTP  []string           `json:"http,omitempty"`  // URLs of plain copies: asked for what the swarm does not give, verified as ever
	Group []string           `json:"group,omitempty"` // keys of mirrors that share the load, in hex
}

// follows says whether the mirror changes.
func (s Spec) follows() bool { return s.Path != "" }

// Link is what is mirrored, as people paste it.
func (s Spec) Link() string {
	if s.follows() {
		return fmt.Sprintf("lcdp://0x%s/%s", s.Key, s.Path)
	}
	return "lcdp://folder/" + s.ID.String()
}

// MaxName bounds a mirror's name, in bytes.
const MaxName = 64

const (
	maxGroup = 1000
	maxHTTP  = 8
)

// Check says what is wrong.
func (s Spec) Check() error {
	if err := CheckMirrorName(s.Name); err != nil {
		return err
	}
	switch {
	case s.follows() == (s.ID != chunk.Hash{}):
		return errors.New("either a publisher's name or a folder is mirrored")
	case !filepath.IsAbs(s.Dir):
		return fmt.Errorf("%s is not absolute", s.Dir)
	case len(s.Group) > maxGroup:
		return fmt.Errorf("more than %d mirrors in a group", maxGroup)
	case len(s.HTTP) > maxHTTP:
		return fmt.Errorf("more than %d sources", maxHTTP)
	}
	for _, u := range s.HTTP {
		if !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
			return fmt.Errorf("%q is not an http URL", u)
		}
	}
	if _, err := s.group(); err != nil {
		return err
	}
	return s.Rules.Check()
}

func (s Spec) group() (ks []identity.PublicKey, err error) {
	for _, text := range s.Group {
		k, err := identity.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("mirror %q: %w", text, err)
		}
		ks = append(ks, k)
	}
	return ks, nil
}

// CheckMirrorName says why a name cannot be one of a mirror: it is part of paths and URLs.
func CheckMirrorName(name string) error {
	if name == "" || len(name) > MaxName || name[0] == '.' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		return fmt.Errorf("%q is no name for a mirror: up to %d letters, digits, dots, dashes and underscores, no dot in front", name, MaxName)
	}
	return folder.CheckPath(name)
}

// Trace is when and whence the current version came.
type Trace struct {
	Signed   time.Time `json:"signed"` // what the number says, if it is a time
	Complete time.Time `json:"complete"`
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	Fetched  int64     `json:"fetched"` // bytes, for this version
	HTTP     int64     `json:"http"`    // of them from plain copies
}

// saved is what mirror.json holds.
type saved struct {
	V     int   `json:"v"`
	Spec  Spec  `json:"spec"`
	State State `json:"state"`
	Trace Trace `json:"trace"`
	Scrub Scrub `json:"scrub"`
}

const fileName = "mirror.json"

func (m *Mirror) saveLocked() error {
	if m.gone {
		return fmt.Errorf("%w: %s", ErrNoMirror, m.spec.Name)
	}
	data, err := json.MarshalIndent(saved{V: 1, Spec: m.spec, State: m.state, Trace: m.trace, Scrub: m.scrub}, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(m.dir, fileName), append(data, '\n'), atomicfile.How{})
}

func loadFile(dir string) (f saved, err error) {
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("%s: %w", filepath.Join(dir, fileName), err)
	}
	if f.V != 1 {
		return f, fmt.Errorf("%s was written by a newer sharer", filepath.Join(dir, fileName))
	}
	return f, f.Spec.Check()
}

// freeName is that of a version's build that nobody has used.
func freeName(t *Tree, h Head) (Head, error) {
	for ; h.Gen < maxGen; h.Gen++ {
		if _, err := os.Lstat(t.Dir(h)); errors.Is(err, fs.ErrNotExist) {
			return h, nil
		} else if err != nil {
			return h, err
		}
	}
	return h, fmt.Errorf("version %d was built %d times", h.Seq, maxGen)
}
