package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sharer/internal/atomicfile"
	"sharer/mirror"
	"sharer/mirror/depot"
)

const (
	remoteDir  = "remote"  // the trees of what lies elsewhere
	remoteName = ".socket" // in it: where that is
)

// openRemote opens the store of Config.MirrorStore; nil: contents lie in the state folder. Where the mirrors of a state
// folder have theirs does not change: what is in the one place would be forgotten in the other.
func (d *Daemon) openRemote(blobs *mirror.Blobs) (*mirror.Remote, error) {
	dir, err := filepath.Abs(filepath.Join(d.cfg.Node.StateDir, remoteDir))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, remoteName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	was := strings.TrimSpace(string(text))
	switch {
	case d.cfg.MirrorStore == "" && was == "":
		return nil, nil
	case d.cfg.MirrorStore == "":
		return nil, fmt.Errorf("the mirrors of %s keep their contents in the store at %s. Start with --mirror-store %s, or use another --state-dir", d.cfg.Node.StateDir, was, was)
	case was == "":
		if n, err := mirrorsIn(d.cfg.Node.StateDir); err != nil {
			return nil, err
		} else if n > 0 {
			return nil, fmt.Errorf("%s has mirrors that keep their contents there. Leave --mirror-store out, or use another --state-dir", d.cfg.Node.StateDir)
		}
	}
	socket, err := filepath.Abs(d.cfg.MirrorStore)
	if err != nil {
		return nil, err
	}
	client := depot.Dial(socket)
	remote, err := mirror.OpenRemote(d.ctx, dir, blobs.New(), client)
	if err == nil {
		err = client.Ready(d.ctx)
	}
	if err == nil && was != socket {
		err = atomicfile.Write(filepath.Join(dir, remoteName), []byte(socket+"\n"), atomicfile.How{})
	}
	if err != nil {
		return nil, fmt.Errorf("the store of mirrors at %s: %w. Start what keeps it first, such as sharer-s3", socket, err)
	}
	d.ServeElsewhere(dir, remote)
	d.depot = client
	return remote, nil
}

// mirrorsIn counts the mirrors of earlier runs.
func mirrorsIn(stateDir string) (int, error) {
	found, err := filepath.Glob(filepath.Join(stateDir, mirrorsDir, "*", "mirror.json"))
	return len(found), err
}
