package mirror

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"sharer/folder"
	"sharer/internal/atomicfile"
)

// ops are the changes that a tree makes to the file system, one method each. before is called ahead of every one: a
// test ends the world there, or lets the call fail.
type ops struct {
	before func(op, path string) error // nil: nothing
	plain  bool                        // neither clones nor links: as on a file system without them
	sync   func(dir string) error      // nil: really; of a folder's names, or of all in it
	cloned int8                        // 1: the file system clones; -1: it does not
	ending func() bool                 // somebody waits for the end: what is being removed stays for the next start; nil: never
}

func (o *ops) step(op, path string) error {
	if o.before == nil {
		return nil
	}
	return o.before(op, path)
}

func (o *ops) mkdir(path string) error {
	if err := o.step("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o755)
}

func (o *ops) mkdirAll(root *os.Root, dir string) error {
	if err := o.step("mkdir", dir); err != nil {
		return err
	}
	return root.MkdirAll(filepath.FromSlash(dir), 0o755)
}

func (o *ops) rename(from, to string) error {
	if err := o.step("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// remove removes a file; that there is none is no error.
func (o *ops) remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := o.step("remove", path); err != nil {
		return err
	}
	return os.Remove(path)
}

func (o *ops) removeAll(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := o.step("remove all", path); err != nil {
		return err
	}
	if o.ending == nil {
		return os.RemoveAll(path)
	}
	in, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	fi, err := in.Lstat(filepath.Base(path))
	if err == nil {
		err = o.removeIn(in, filepath.Base(path), fi.IsDir())
	}
	return errors.Join(err, in.Close())
}

var errEnding = errors.New("the node is closing")

// removeIn removes a name in a folder, and what is in it; of a link not what it leads to. It looks at ending for each file: a version may have
// a million.
func (o *ops) removeIn(in *os.Root, name string, folder bool) error {
	if o.ending() {
		return errEnding
	}
	if folder {
		root, err := in.OpenRoot(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := errors.Join(o.empty(root), root.Close()); err != nil {
			return err
		}
	}
	if err := in.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (o *ops) empty(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, e := range entries { // what cannot be removed keeps nothing else
		one := o.removeIn(root, e.Name(), e.IsDir())
		if errors.Is(one, errEnding) {
			return one
		}
		err = errors.Join(err, one)
	}
	return err
}

// point makes a link, or a file that says where it would lead to.
func (o *ops) point(name, to string, file bool) error {
	if err := o.step("point", name); err != nil {
		return err
	}
	if !file {
		return os.Symlink(to, name)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, filepath.ToSlash(to)+"\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (o *ops) touch(path string, at time.Time) error {
	if err := o.step("touch", path); err != nil {
		return err
	}
	return os.Chtimes(path, at, at)
}

func (o *ops) syncDir(dir string) error {
	if err := o.step("sync", dir); err != nil {
		return err
	}
	if o.sync != nil {
		return o.sync(dir)
	}
	return atomicfile.SyncFolder(dir)
}

func (o *ops) syncTree(dir string) error {
	if err := o.step("sync", dir); err != nil {
		return err
	}
	if o.sync != nil {
		return o.sync(dir)
	}
	return syncTree(dir)
}

// put gives a content a name in a version. A clone has a time and a mode of its own. A link shares them with all
// other names of the content: its mode must be right, or it is copied; its time is the first name's.
func (o *ops) put(content string, root *os.Root, build string, f folder.File) error {
	if err := o.step("put", f.Path); err != nil {
		return err
	}
	name := filepath.FromSlash(f.Path)
	if !o.plain {
		if done, err := o.clone(content, root, name); err != nil {
			return err
		} else if done {
			return dress(root, name, f)
		}
		if linked, err := link(content, filepath.Join(build, name), f); linked || err != nil {
			return err
		}
	}
	if err := copyFile(content, root, name); err != nil {
		return err
	}
	return dress(root, name, f)
}

// clone asks the file system once whether it can.
func (o *ops) clone(content string, root *os.Root, name string) (bool, error) {
	if o.cloned < 0 {
		return false, nil
	}
	done, err := clone(content, root, name)
	if err == nil && o.cloned == 0 {
		if o.cloned = -1; done {
			o.cloned = 1
		}
	}
	return done, err
}

// link reports whether the content could be linked. A link has the mode and time of the content, which got those of the
// first file that it was fetched for; where the mode is another it is copied. The folders of the version are our own and
// new, so that the path leads where root would.
func link(content, path string, f folder.File) (bool, error) {
	fi, err := os.Lstat(content)
	if err != nil {
		return false, err
	}
	if fi.Mode().Perm() != mode(f) && runtime.GOOS != "windows" {
		return false, nil
	}
	// Another file system, none with links, or one with as many as it can hold: a copy says if it is worse.
	return os.Link(content, path) == nil, nil
}

func copyFile(content string, root *os.Root, name string) error {
	in, err := os.Open(content)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// mode is that of a file of a version: nobody writes there.
func mode(f folder.File) fs.FileMode {
	if f.Executable {
		return 0o555
	}
	return 0o444
}

// dress gives a file its mode and time.
func dress(root *os.Root, name string, f folder.File) error {
	if err := root.Chmod(name, mode(f)); err != nil {
		return err
	}
	if f.Mtime == 0 {
		return nil
	}
	at := time.Unix(f.Mtime, 0)
	return root.Chtimes(name, at, at)
}
