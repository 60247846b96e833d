package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sharer/folder"
	"sharer/internal/atomicfile"
)

const (
	versionsDir  = "versions"
	currentName  = "current" // a link to versions/HEAD; where there are no links current.txt, which names it
	buildPrefix  = ".new-"
	retirePrefix = ".old-"
	markName     = ".mirror-of" // the link, in the folder of versions

	maxKeep  = 64
	maxGrace = 8 // versions that stay for their grace beyond Keep: a flood of versions fills no disk
)

// Tree is a folder with the versions of a mirror: DIR/versions/HEAD are whole versions, and DIR/current is one of
// them. Who reads through current, or has opened what it leads to, sees one version.
//
// A version comes to be in these steps, and a process may end between any two of them:
//
//	1 DIR/versions/.new-HEAD is made
//	2 each file is put there: a clone of the content, else a link to it, else a copy
//	3 all of it is synced
//	4 it becomes DIR/versions/HEAD
//	5 DIR/current.new is made, a link to it
//	6 it becomes DIR/current: from now on this is the version
//	7 earlier versions become DIR/versions/.old-HEAD
//	8 and are removed
//
// Before step 6 the earlier version is the current one. [OpenTree] removes what steps 1 to 5 and 7 have left. What is
// on disk is the only record of it. A Tree is for one goroutine; reading the files needs none.
type Tree struct {
	dir     string
	ops     ops
	pointer bool // a file instead of a link
}

// Version is one that is whole.
type Version struct {
	Head
	Since time.Time // when it was made to become the current one
}

// OpenTree opens or makes a folder of versions, and removes what an unclean end has left.
func OpenTree(dir string) (*Tree, error) { return openTree(dir, ops{}, runtime.GOOS == "windows") }

func openTree(dir string, o ops, pointer bool) (*Tree, error) {
	t := &Tree{dir: dir, ops: o, pointer: pointer}
	if err := os.MkdirAll(t.path(versionsDir), 0o755); err != nil {
		return nil, err
	}
	return t, t.recover()
}

func (t *Tree) path(parts ...string) string {
	return filepath.Join(append([]string{t.dir}, parts...)...)
}

// Dir is where the files of a version are.
func (t *Tree) Dir(h Head) string { return t.path(versionsDir, h.String()) }

// recover removes what no version is made of: what was being built or removed, and whole versions that have not
// become current. Those before the current one were.
func (t *Tree) recover() error {
	current, there, err := t.Current()
	if err != nil {
		return err
	}
	if err := t.ops.remove(t.path(t.pointerName() + ".new")); err != nil {
		return err
	}
	entries, err := os.ReadDir(t.path(versionsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		h, whole := parseHead(e.Name())
		if !ofTree(e.Name()) || whole && there && (h == current.Head || current.after(h)) {
			continue
		}
		if err := t.ops.removeAll(t.path(versionsDir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// ofTree says whether something in the folder of versions is a tree's, and not the user's.
func ofTree(name string) bool {
	for _, prefix := range []string{buildPrefix, retirePrefix} {
		name = strings.TrimPrefix(name, prefix)
	}
	_, ok := parseHead(name)
	return ok
}

// belongs says whose versions these are, if they are not those of a link. Without the mark nobody knows.
func (t *Tree) belongs(link string) error {
	text, err := os.ReadFile(t.path(versionsDir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if was := strings.TrimSpace(string(text)); err == nil && was != link {
		err = fmt.Errorf("%s has the tree of %q. Take another folder, or remove that tree first", t.dir, was)
	}
	return err
}

// mark notes whose versions these are.
func (t *Tree) mark(link string) error {
	path := t.path(versionsDir, markName)
	if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == link {
		return nil
	}
	return atomicfile.Write(path, []byte(link+"\n"), atomicfile.How{})
}

// remove removes all versions, and nothing that is not the tree's.
func (t *Tree) remove() error {
	if _, there, err := t.Current(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if there || err != nil {
		if err := t.ops.remove(t.path(t.pointerName())); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(t.path(versionsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ofTree(e.Name()) {
			err = errors.Join(err, t.ops.removeAll(t.path(versionsDir, e.Name())))
		}
	}
	err = errors.Join(err, t.ops.remove(t.path(versionsDir, markName)))
	_, _ = os.Remove(t.path(versionsDir)), os.Remove(t.dir) // something of the user's may lie there
	return err
}

func (t *Tree) pointerName() string {
	if t.pointer {
		return currentName + ".txt"
	}
	return currentName
}

// Current is the version that readers see. That there is none is no error; that there is something else in its place
// is one.
func (t *Tree) Current() (Version, bool, error) {
	name := t.path(t.pointerName())
	var to string
	var err error
	if t.pointer {
		var text []byte
		text, err = os.ReadFile(name)
		to = strings.TrimSpace(string(text))
	} else {
		to, err = os.Readlink(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Version{}, false, nil
	}
	if err != nil {
		return Version{}, false, err
	}
	h, ok := parseHead(path.Base(filepath.ToSlash(to)))
	if !ok || filepath.ToSlash(to) != versionsDir+"/"+h.String() {
		return Version{}, false, fmt.Errorf("%s is not a mirror's: it leads to %q", name, to)
	}
	fi, err := os.Lstat(t.Dir(h))
	if err != nil {
		return Version{}, false, err
	}
	return Version{Head: h, Since: fi.ModTime()}, true, nil
}

// Versions are all whole versions, latest first, the current one in front.
func (t *Tree) Versions() ([]Version, error) {
	entries, err := os.ReadDir(t.path(versionsDir))
	if err != nil {
		return nil, err
	}
	var vs []Version
	for _, e := range slices.Backward(entries) {
		h, ok := parseHead(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return nil, err
		}
		vs = append(vs, Version{Head: h, Since: fi.ModTime()})
	}
	return vs, nil
}

// Build makes a version of contents; it is not the current one yet. from names the verified file of a content. It
// stops between two files when the context ends. A version that is there whole already stays.
func (t *Tree) Build(ctx context.Context, h Head, files Files, from func(folder.File) (string, error)) error {
	to := t.Dir(h)
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	build := t.path(versionsDir, buildPrefix+h.String())
	if err := t.ops.removeAll(build); err != nil {
		return err
	}
	err := t.fill(ctx, build, files, from)
	if err == nil {
		err = ctx.Err() // before the disk is waited for
	}
	if err == nil {
		err = t.ops.syncTree(build)
	}
	if err == nil {
		err = t.ops.rename(build, to)
	}
	if err != nil {
		return errors.Join(err, t.ops.removeAll(build))
	}
	return t.ops.syncDir(t.path(versionsDir))
}

func (t *Tree) fill(ctx context.Context, build string, files Files, from func(folder.File) (string, error)) error {
	if err := t.ops.mkdir(build); err != nil {
		return err
	}
	root, err := os.OpenRoot(build)
	if err != nil {
		return err
	}
	defer root.Close()
	last := "."
	return files(func(f folder.File) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		// In the order of paths those of one folder mostly follow each other.
		if dir := path.Dir(f.Path); dir != last {
			if err := t.ops.mkdirAll(root, dir); err != nil {
				return err
			}
			last = dir
		}
		content, err := from(f)
		if err != nil {
			return err
		}
		return t.ops.put(content, root, build, f)
	})
}

// Switch makes a version that was built the current one.
func (t *Tree) Switch(h Head, now time.Time) error {
	if err := t.ops.touch(t.Dir(h), now); err != nil {
		return err
	}
	name := t.path(t.pointerName())
	to := filepath.Join(versionsDir, h.String())
	if err := t.ops.remove(name + ".new"); err != nil {
		return err
	}
	if err := t.ops.point(name+".new", to, t.pointer); err != nil {
		return err
	}
	if err := t.ops.rename(name+".new", name); err != nil {
		return err
	}
	return t.ops.syncDir(t.dir)
}

// Retire removes earlier versions: what is beyond keep, counted from the current one, once its grace is over. A version
// leaves when the one after it has been current for so long.
func (t *Tree) Retire(keep int, grace time.Duration, now time.Time) (gone []Head, err error) {
	current, there, err := t.Current()
	if err != nil || !there {
		return nil, err
	}
	vs, err := t.Versions()
	if err == nil {
		err = t.finishRetired()
	}
	if err != nil {
		return nil, err
	}
	n := 0
	after := current.Since // when the one after it became current
	for _, v := range vs {
		if v.Head != current.Head && !current.after(v.Head) {
			continue // built, not switched to
		}
		n++
		stays := v.Head == current.Head || n <= keep || n <= keep+maxGrace && now.Sub(after) < grace
		after = v.Since
		if stays {
			continue
		}
		old := t.path(versionsDir, retirePrefix+v.String())
		if err := t.ops.rename(t.Dir(v.Head), old); err != nil {
			return gone, err
		}
		if err := t.ops.removeAll(old); err != nil {
			return gone, err
		}
		gone = append(gone, v.Head)
	}
	return gone, nil
}

// finishRetired removes what an earlier Retire has not removed to the end, since the disk failed.
func (t *Tree) finishRetired() error {
	entries, err := os.ReadDir(t.path(versionsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), retirePrefix) && ofTree(e.Name()) {
			err = errors.Join(err, t.ops.removeAll(t.path(versionsDir, e.Name())))
		}
	}
	return err
}

// Discard removes a version that was built and did not become current.
func (t *Tree) Discard(h Head) error {
	current, there, err := t.Current()
	if err != nil || there && current.Head == h {
		return err
	}
	return t.ops.removeAll(t.Dir(h))
}
