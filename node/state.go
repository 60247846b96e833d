package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sharer/index"
	"sharer/seed"
	"sharer/store"
)

// state is the folder that one process owns: the index, the trees of seeded
// files, and the number of the process.
type state struct {
	dir   string
	index *index.Index
	trees *seed.Trees
	store *store.Disk
}

func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w; name another with --state-dir", err)
	}
	ix, err := index.Open(filepath.Join(dir, "index.db"), index.Options{})
	if errors.Is(err, index.ErrLocked) {
		return nil, &LockedError{Path: dir, PID: readPID(dir)}
	}
	if err != nil {
		return nil, err
	}
	s := &state{dir: dir, index: ix}
	if s.trees, err = seed.OpenTrees(filepath.Join(dir, "trees")); err != nil {
		return nil, errors.Join(err, ix.Close())
	}
	// The lock is the index's own; the number only serves the message to others.
	if err := os.WriteFile(s.pidFile(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *state) pidFile() string { return filepath.Join(s.dir, "pid") }

// readPID returns the number of the process that owns dir, 0 when unknown.
func readPID(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

func (s *state) close() error {
	err := os.Remove(s.pidFile())
	s.trees.Close()
	return errors.Join(err, s.index.Close())
}
