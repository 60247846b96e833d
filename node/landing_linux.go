package node

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sharer/folder"
)

// landing writes small files with as few system calls as it takes: made in the stage under a name of this run's own, written,
// given its time, and given its name, which replaces nothing unless it may. Folders are open, so that no path is walked twice.
// Safe for concurrent use.
type landing struct {
	r     *folderRun
	stage *os.File
	mark  string

	mu   sync.RWMutex // while a folder of dirs is used it is not closed
	dirs map[string]*os.File
}

// maxLandingDirs bounds the open folders.
const maxLandingDirs = 64

func (r *folderRun) newLanding() (*landing, error) {
	stage, err := r.root.Open(folder.Stage)
	if err != nil {
		return nil, err
	}
	return &landing{r: r, stage: stage, mark: r.newMark(), dirs: map[string]*os.File{}}, nil
}

func (l *landing) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeDirsLocked()
	l.stage.Close() // opened for its names
}

func (l *landing) closeDirsLocked() {
	for _, d := range l.dirs {
		d.Close() // opened for its names
	}
	clear(l.dirs)
}

// put makes a file. The error is ErrExists where something has its name.
func (l *landing) put(f folder.File, data []byte) error {
	stage, name := int(l.stage.Fd()), f.BLAKE3.String()+l.mark
	err := l.write(stage, name, f, data)
	if err == nil {
		err = l.place(stage, name, f)
	}
	if err == nil {
		return nil
	}
	_ = unix.Unlinkat(stage, name, 0) // what is left of it is worthless, and its name this run's own
	if errors.Is(err, ErrExists) {
		return err
	}
	return &fs.PathError{Op: "write", Path: filepath.Join(l.r.Dir, filepath.FromSlash(f.Path)), Err: err}
}

func (l *landing) write(stage int, name string, f folder.File, data []byte) error {
	mode := uint32(0o666)
	if f.Executable {
		mode = 0o777
	}
	fd, err := again(func() (int, error) {
		return unix.Openat(stage, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	})
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		var n int
		n, err = again(func() (int, error) { return unix.Write(fd, data) })
		data = data[max(n, 0):]
	}
	if err == nil && l.r.node.cfg.Fsync {
		err = unix.Fsync(fd)
	}
	if f.Mtime != 0 && err == nil {
		at := unix.NsecToTimespec(time.Unix(f.Mtime, 0).UnixNano())
		err = unix.UtimesNanoAt(stage, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return errors.Join(err, unix.Close(fd))
}

// place gives a file its name.
func (l *landing) place(stage int, name string, f folder.File) error {
	dir, base := path.Split(f.Path)
	d, done, err := l.dir(path.Clean(dir))
	if err != nil {
		return err
	}
	defer done()
	flags := uint(unix.RENAME_NOREPLACE)
	if l.r.Force {
		flags = 0
	}
	switch err := unix.Renameat2(stage, name, int(d.Fd()), base, flags); {
	case err == nil:
	case errors.Is(err, unix.EEXIST):
		return ErrExists
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS): // the file system, or a sandbox, knows no such flag
		if err := l.r.link(folder.Stage+"/"+name, filepath.FromSlash(f.Path)); err != nil {
			return err
		}
	default:
		return err
	}
	if l.r.node.cfg.Fsync {
		return d.Sync()
	}
	return nil
}

// dir returns an open folder, which is made if need be; done must be called.
func (l *landing) dir(name string) (d *os.File, done func(), err error) {
	l.mu.RLock()
	if d := l.dirs[name]; d != nil {
		return d, l.mu.RUnlock, nil
	}
	l.mu.RUnlock()
	l.mu.Lock()
	if l.dirs[name] == nil {
		if d, err = l.open(name); err != nil {
			l.mu.Unlock()
			return nil, nil, err
		}
		if len(l.dirs) >= maxLandingDirs {
			l.closeDirsLocked()
		}
		l.dirs[name] = d
	}
	l.mu.Unlock()
	return l.dir(name)
}

func (l *landing) open(name string) (*os.File, error) {
	if name == "" {
		name = "."
	}
	if name != "." {
		if err := l.r.root.MkdirAll(filepath.FromSlash(name), 0o777); err != nil {
			return nil, err
		}
	}
	return l.r.root.Open(filepath.FromSlash(name))
}

// again repeats what a signal has interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
