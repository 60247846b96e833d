package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// What arrives for a folder waits in Dir/.sharer-part, the stage, which all have in common who fetch into Dir. Each has a share of
// the lock in it while it is at work, and only who has that alone removes anything that is not its own. What is fetched by
// itself lies there under its hash, so that the next run goes on with it: who has the lock of that hash owns all of these
// names, from the first byte until it has its place.

const (
	stageLock  = "lock"
	lockSuffix = ".lock"
	stageTries = 500 // to wait for who clears up
	stageWait  = 10 * time.Millisecond
)

// openStage makes the folder for what arrives, and takes a share of it. One that is a link to elsewhere is not used.
func (r *folderRun) openStage(ctx context.Context) error {
	for range stageTries {
		if err := r.root.Mkdir(folder.Stage, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		fi, err := r.root.Lstat(folder.Stage)
		if err == nil && !fi.IsDir() {
			return fmt.Errorf("%s: %w", filepath.Join(r.Dir, folder.Stage), ErrExists)
		}
		if err == nil {
			r.stage, err = chunk.TakeLock(r.inStage(stageLock), true)
		}
		if err == nil || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, chunk.ErrLocked) {
			return err
		}
		// Another run is clearing up, or has just done so.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(stageWait):
		}
	}
	return &LockedError{Path: r.inStage("")}
}

func (r *folderRun) inStage(name string) string { return filepath.Join(r.Dir, folder.Stage, name) }

func (r *folderRun) staged(h chunk.Hash) string { return folder.Stage + "/" + h.String() }

// newMark makes the name of a content in the stage one of this run alone.
func (r *folderRun) newMark() string { return "." + strconv.FormatUint(r.node.random().Uint64(), 36) }

// ownStage takes the names of a content in the stage, until free is called. The error is a *LockedError when another run
// fetches it to the same folder.
func (r *folderRun) ownStage(f folder.File) (free func(), err error) {
	l, err := chunk.TakeLock(r.inStage(f.BLAKE3.String()+lockSuffix), false)
	if errors.Is(err, chunk.ErrLocked) {
		return nil, &LockedError{Path: r.inStage(f.BLAKE3.String())}
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = l.Remove() }, nil // one that stays is locked by nobody, and goes with the stage
}

// clearStage removes the stage when nobody else is at work in it, unless something in it may be gone on with. What a crash has left there of
// contents that are in all their places is not such.
func (r *folderRun) clearStage() {
	if r.stage.Release() != nil {
		return
	}
	alone, err := chunk.TakeLock(r.inStage(stageLock), false)
	if err != nil {
		return
	}
	for _, name := range r.namesIn(folder.Stage) { // those that can be read, at least
		h, err := chunk.ParseHash([]byte(name[:min(len(name), 2*len(chunk.Hash{}))]))
		if err == nil && (r.placed[h] || filepath.Ext(name) == lockSuffix) {
			_ = r.root.Remove(folder.Stage + "/" + name)
		}
	}
	if alone.Remove() == nil {
		_ = r.root.Remove(folder.Stage) // not if something is in it, as the lock of the next
	}
}
