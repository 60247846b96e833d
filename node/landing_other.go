//go:build !linux

package node

import (
	"context"
	"errors"
	"os"

	"sharer/folder"
)

// landing writes small files: into the stage under a name of this run's own, then to their names.
type landing struct {
	r    *folderRun
	mark string
}

func (r *folderRun) newLanding() (*landing, error) { return &landing{r, r.newMark()}, nil }

func (l *landing) close() {}

// put makes a file. The error is ErrExists where something has its name.
func (l *landing) put(f folder.File, data []byte) error {
	name := l.r.staged(f.BLAKE3) + l.mark
	out, err := l.r.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err == nil && l.r.node.cfg.Fsync {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = l.r.place(context.Background(), name, f, true) // the last name: nothing is copied
	}
	if err != nil {
		_ = l.r.root.Remove(name) // what is left of it is worthless
	}
	return err
}
