package seed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"sharer/chunk"
	"sharer/index"
)

// folder is an open folder. refs counts the walker and the jobs that still open
// files in it; the last one closes it.
type folder struct {
	*os.Root
	refs atomic.Int32
}

func (f *folder) release() {
	if f.refs.Add(-1) == 0 {
		f.Close()
	}
}

// openFolder opens a folder below root. The slash at the end lets it be nothing but a
// folder: opening a pipe would wait for a writer.
func openFolder(root *os.Root, rel string) (*folder, error) {
	r, err := root.OpenRoot(rel + "/")
	if err != nil {
		return nil, err
	}
	f := &folder{Root: r}
	f.refs.Store(1)
	return f, nil
}

// job is a file to be hashed.
type job struct {
	dir   *folder
	name  string // in dir
	path  string // absolute
	rel   string
	named string      // of Options.Paths, absolute
	looks os.FileInfo // as the walker saw it
}

// file is the file of a job, whose content was known or is now.
func (j job) file(c index.Content, stamp chunk.Stamp, reused bool) File {
	return File{Path: j.path, Rel: j.rel, Content: c, Stamp: stamp, Reused: reused, Root: j.named, Executable: j.looks.Mode()&0o100 != 0}
}

// errIndex marks the errors that end a scan.
var errIndex = errors.New("ask the index")

// walker walks one folder of Options.Paths.
type walker struct {
	*scan
	root   *os.Root
	base   string          // absolute path of root
	named  string          // the path that led to it
	linked map[string]bool // folders that a link led to, by their path below root
}

// below is a folder still to be read.
type below struct {
	at    string      // path below root, without links
	rel   string      // path as it is shown; differs from at behind a link
	looks os.FileInfo // nil for the root itself
	only  Part        // of Options.Only; empty: all of it
}

// walk walks all paths. The error is one of the index; ctx.Err() is known to others.
func (s *scan) walk(ctx context.Context) error {
	seen := map[string]bool{}
	for _, p := range s.Paths {
		if ctx.Err() != nil {
			return nil
		}
		abs, err := filepath.Abs(p)
		if err == nil && !seen[abs] {
			seen[abs] = true
			err = s.walkPath(ctx, abs)
		}
		if errors.Is(err, errIndex) {
			return err
		}
		if err != nil {
			s.fail(p, err)
		}
	}
	return nil
}

// walkPath takes what the user named: here a symbolic link is followed.
func (s *scan) walkPath(ctx context.Context, abs string) error {
	named := abs
	fi, err := os.Lstat(abs)
	if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		if abs, err = filepath.EvalSymlinks(abs); err == nil {
			fi, err = os.Lstat(abs)
		}
	}
	if err != nil {
		return err
	}
	w := &walker{scan: s, base: abs, named: named, linked: map[string]bool{}}
	if fi.IsDir() {
		if s.private(fi) {
			return &fs.PathError{Op: "seed", Path: abs, Err: errPrivate}
		}
		if w.root, err = os.OpenRoot(abs + string(filepath.Separator)); err != nil {
			return err
		}
		defer w.root.Close()
		return w.tree(ctx, below{at: ".", only: s.Only})
	}
	if !fi.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: abs, Err: chunk.ErrNotRegular}
	}
	w.base = filepath.Dir(abs)
	if w.root, err = os.OpenRoot(w.base + string(filepath.Separator)); err != nil {
		return err
	}
	defer w.root.Close()
	dir, err := openFolder(w.root, ".")
	if err != nil {
		return err
	}
	defer dir.release()
	if at, err := dir.Stat("."); err != nil || s.private(at) {
		return errors.Join(err, &fs.PathError{Op: "seed", Path: abs, Err: errPrivate})
	}
	name := filepath.Base(abs)
	return w.file(ctx, job{dir: dir, name: name, path: abs, rel: name, looks: fi})
}

// tree reads a folder and those below it, in the order of names. Those still to come
// are kept by path: open folders are bounded by the queue of jobs, not by depth.
func (w *walker) tree(ctx context.Context, top below) error {
	stack := []below{top}
	for len(stack) > 0 && ctx.Err() == nil {
		b := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		more, err := w.folder(ctx, b)
		if errors.Is(err, errIndex) {
			return err
		}
		if err != nil {
			w.fail(filepath.Join(w.base, b.at), err)
		}
		slices.Reverse(more)
		stack = append(stack, more...)
	}
	return nil
}

// folder takes the files of a folder and returns the folders in it.
func (w *walker) folder(ctx context.Context, b below) (more []below, err error) {
	w.hook("folder", b.rel)
	dir, err := openFolder(w.root, b.at)
	if err != nil {
		return nil, err
	}
	defer dir.release()
	if b.looks != nil {
		// os.Root follows links inside the root; and a folder may have been swapped.
		if fi, err := dir.Stat("."); err != nil || !os.SameFile(fi, b.looks) {
			return nil, errors.Join(err, chunk.ErrChanged)
		}
		if w.private(b.looks) {
			w.skip(filepath.Join(w.base, b.rel), Private)
			return nil, nil
		}
	}
	if w.see != nil {
		w.see(Sight{Path: filepath.Join(w.base, b.at), Rel: b.rel, Folder: true})
	}
	var names []string
	if len(b.only) > 0 {
		names = b.only.names()
	} else {
		names, err = readNames(dir.Root)
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, nil
		}
		sub, err := w.entry(ctx, dir, b, name)
		if err != nil {
			return nil, err
		}
		if sub != nil {
			sub.only = b.only[name]
			more = append(more, *sub)
		}
	}
	return more, err
}

// readNames returns the names in a folder, sorted; with an error those read so far.
func readNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// entry deals with one name of a folder; a folder is returned. The error is one of
// the index.
func (w *walker) entry(ctx context.Context, dir *folder, b below, name string) (*below, error) {
	rel := join(b.rel, name)
	abs := filepath.Join(w.base, b.at, name)
	why := skipName(name)
	if why == "" && w.excluded(rel, name) {
		why = Excluded
	}
	if why != "" {
		w.skip(abs, why)
		return nil, nil
	}
	fi, err := dir.Lstat(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			w.skip(abs, Gone)
		} else {
			w.fail(abs, err)
		}
		return nil, nil
	}
	switch mode := fi.Mode(); {
	case mode.IsDir():
		return &below{at: join(b.at, name), rel: rel, looks: fi}, nil
	case mode.IsRegular():
		return nil, w.file(ctx, job{dir: dir, name: name, path: abs, rel: rel, looks: fi})
	case mode&fs.ModeSymlink == 0:
		w.skip(abs, NotRegular)
	case !w.FollowLinks:
		w.skip(abs, Link)
	default:
		return w.link(ctx, b.at, name, rel)
	}
	return nil, nil
}

// link follows a symbolic link. Where it leads is worked out on the paths first, for
// os.Root takes no absolute link, even one that leads back inside; what is there is then
// opened below the root like everything else, so a lie on the way leads nowhere else.
func (w *walker) link(ctx context.Context, at, name, rel string) (*below, error) {
	abs := filepath.Join(w.base, at, name)
	base, err := filepath.EvalSymlinks(w.base)
	if err != nil {
		w.fail(abs, err)
		return nil, nil
	}
	target, err := filepath.EvalSymlinks(abs)
	if err != nil {
		w.skip(abs, LinkBroken)
		return nil, nil
	}
	to, err := filepath.Rel(base, target)
	if err != nil || !filepath.IsLocal(to) {
		w.skip(abs, LinkOut)
		return nil, nil
	}
	to = filepath.ToSlash(to)
	fi, err := w.root.Lstat(filepath.FromSlash(to))
	switch {
	case err != nil:
		w.skip(abs, LinkBroken)
	case fi.IsDir() && (to == "." || to == at || strings.HasPrefix(at, to+"/")):
		w.skip(abs, LinkOut)
	case fi.IsDir() && w.linked[to]:
		w.skip(abs, LinkLoop)
	case fi.IsDir():
		// Each folder by one link only: links among n folders have n! ways through them.
		w.linked[to] = true
		return &below{at: to, rel: rel, looks: fi}, nil
	case !fi.Mode().IsRegular():
		w.skip(abs, NotRegular)
	default:
		dir, err := openFolder(w.root, filepath.Dir(to))
		if err != nil {
			w.fail(abs, err)
			return nil, nil
		}
		defer dir.release()
		if at, err := dir.Stat("."); err != nil || w.private(at) {
			w.skip(abs, Private)
			return nil, nil
		}
		return nil, w.file(ctx, job{dir: dir, name: filepath.Base(to), path: filepath.Join(w.base, to), rel: rel, looks: fi})
	}
	return nil, nil
}

// file takes a regular file: from the index, or to be hashed. The error is one of the
// index.
func (w *walker) file(ctx context.Context, j job) error {
	if len(j.path) > maxPath {
		w.fail(j.path, syscall.ENAMETOOLONG)
		return nil
	}
	j.named = w.named
	stamp := chunk.StampOf(j.looks)
	w.foundFiles.Add(1)
	w.foundBytes.Add(stamp.Size)
	if w.see != nil {
		w.looked(j)
		return nil
	}
	if !w.Rehash {
		c, place, err := w.ix.ByPath(j.path)
		switch {
		case err == nil && place.Stamp == stamp && c.Size == stamp.Size:
			w.done <- Event{Kind: FileDone, File: j.file(c, stamp, true)}
			return nil
		case err != nil && !errors.Is(err, index.ErrNotFound):
			return fmt.Errorf("%w: %w", errIndex, err)
		}
	}
	j.dir.refs.Add(1)
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		j.dir.release()
	}
	return nil
}

func (s *scan) skip(path, why string) {
	if s.see == nil {
		s.done <- Event{Kind: Skipped, Path: path, Reason: why}
	}
}

func (s *scan) fail(path string, err error) {
	if s.unseen != nil {
		s.unseen(path, err)
		return
	}
	s.done <- Event{Kind: Failed, Path: path, Err: err}
}

// join appends a name to a path below a folder, which is "" or "." for the folder itself.
func join(dir, name string) string {
	if dir == "" || dir == "." {
		return name
	}
	return dir + "/" + name
}
