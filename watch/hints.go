package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// hints are what the system tells of folders.
type hints interface {
	add(folder string) error
	remove(folder string)
	// unfit says why a folder of so many files cannot be watched, "" if it can.
	unfit(folder string, files int) string
	// run calls hint for every hint, and overflow when some were lost, until close. moved: the path is not there any more.
	run(hint func(path string, moved bool), overflow func())
	close() error
}

// notifier is fsnotify: inotify, kqueue, or ReadDirectoryChangesW.
type notifier struct{ w *fsnotify.Watcher }

var _ hints = notifier{}

func systemHints() (hints, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return notifier{w}, nil
}

func (n notifier) add(folder string) error { return n.w.Add(folder) }

// remove ends the watching of a folder. One that is gone is not watched any more, which is no error.
func (n notifier) remove(folder string) { n.w.Remove(folder) }

func (n notifier) close() error { return n.w.Close() }

func (n notifier) unfit(folder string, files int) string {
	if perFile > 0 && files > perFile {
		return fmt.Sprintf("it has %d files, and this system opens each one that is watched", files)
	}
	return remote(folder)
}

func (n notifier) run(hint func(path string, moved bool), overflow func()) {
	errs := n.w.Errors
	for {
		select {
		case e, ok := <-n.w.Events:
			if !ok {
				return
			}
			hint(e.Name, e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
		case _, ok := <-errs:
			if !ok {
				errs = nil // Events will be closed too
				continue
			}
			overflow() // or another fault: in any case something may have been missed
		}
	}
}

// limitText says what to do when a folder cannot be watched; "" if it only has gone.
func limitText(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return ""
	case errors.Is(err, syscall.ENOSPC):
		return "the system's limit of watched folders is reached (raise fs.inotify.max_user_watches)"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "no more folders can be watched: too many open files (raise ulimit -n)"
	}
	return fmt.Sprintf("a folder cannot be watched: %v", err)
}

// hint takes one hint of the system, from its goroutine.
func (w *Watcher) hint(path string, moved bool) {
	told := false
	for _, r := range w.all() {
		r.hintMu.Lock()
		if path == r.base || strings.HasPrefix(path, strings.TrimSuffix(r.base, string(filepath.Separator))+string(filepath.Separator)) {
			told = true
			r.note(path, moved)
		}
		r.hintMu.Unlock()
	}
	if told {
		w.poke()
	}
}

// note remembers one hint, or that there were too many.
func (r *root) note(path string, moved bool) {
	if len(r.dirty) == 0 && !r.all {
		r.at = time.Now()
	}
	if path == r.base || len(r.dirty) >= maxHints {
		r.all = true
	} else if n := len(r.dirty); n == 0 || r.dirty[n-1] != path {
		r.dirty = append(r.dirty, path)
	}
	if moved && len(r.moved) < maxHints {
		r.moved = append(r.moved, path)
	}
}

// overflow is told when hints were lost: then everything is walked.
func (w *Watcher) overflow() {
	for _, r := range w.all() {
		r.hintMu.Lock()
		if len(r.dirty) == 0 && !r.all {
			r.at = time.Now()
		}
		r.all = true
		r.hintMu.Unlock()
	}
	w.poke()
}

// watch has a folder watched from now on. It holds the root's mutex.
func (w *Watcher) watch(r *root, folder string) {
	if w.hints == nil || r.alone {
		return
	}
	err := w.hints.add(folder)
	if err == nil {
		return
	}
	if text := limitText(err); text != "" {
		r.unwatched = true
		w.note("%s; changes in what is not watched are noticed within %s", text, w.o.Rescan)
	}
}

// unwatch ends the watching of folders that were renamed or removed, with those below: their watches bear old names.
func (w *Watcher) unwatch(r *root, paths []string) {
	if w.hints == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range paths {
		for _, rel := range r.book.Rels(path) {
			if rel != "" {
				r.book.Folders(rel, w.hints.remove)
			}
		}
	}
}
