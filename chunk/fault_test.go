package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// faultFS is the real file system whose k-th operation fails. A write that fails may have written a part, and a short one says so.
type faultFS struct {
	left  int // operations until the fault; below 0: it was met
	fault error
	sync  bool // only syncs count
	short bool // a short write without an error
}

var _ FS = (*faultFS)(nil)
var _ File = (*faultFile)(nil)

type faultFile struct {
	File
	fs *faultFS
}

func (f *faultFS) next(sync bool) error {
	if f.sync && !sync {
		return nil
	}
	if f.left--; f.left == 0 {
		return f.fault
	}
	return nil
}

func (f *faultFS) Open(name string) (File, error) {
	if err := f.next(false); err != nil {
		return nil, err
	}
	file, err := osFS{}.Open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f}, nil
}

func (f *faultFS) OpenLocked(name string) (File, bool, error) {
	if err := f.next(false); err != nil {
		return nil, false, err
	}
	file, made, err := osFS{}.OpenLocked(name)
	if err != nil {
		return nil, false, err
	}
	return &faultFile{file, f}, made, nil
}

func (f *faultFS) Publish(file File, from, to string, o PublishOptions) error {
	if err := f.next(false); err != nil {
		return err
	}
	o.Fsync = false // the disk itself is not what is tested
	return osFS{}.Publish(file.(*faultFile).File, from, to, o)
}

func (f *faultFS) Remove(name string) error {
	if err := f.next(false); err != nil {
		return err
	}
	return osFS{}.Remove(name)
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.next(false); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.next(false); err != nil {
		n, writeErr := f.File.WriteAt(p[:len(p)/2], off)
		if f.fs.short {
			return n, writeErr
		}
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.fs.next(false); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Sync() error {
	if err := f.fs.next(true); err != nil {
		return err
	}
	return nil // the disk itself is not what is tested
}

func (f *faultFile) Stat() (os.FileInfo, error) {
	if err := f.fs.next(false); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *faultFile) Close() error {
	err := f.File.Close()
	return errors.Join(f.fs.next(false), err)
}

// TestFaults lets the k-th operation of a whole download fail, for every k. Whatever step fails is tried once more, and after that the
// download begins anew from what is on disk. In the end the file is there and right; before that nothing claims to be complete.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWork(t, 60, 70*4096+77)
	dir := t.TempDir()
	for _, k := range kinds {
		for _, f := range []faultFS{{fault: syscall.EIO}, {fault: syscall.ENOSPC}, {fault: syscall.EIO, short: true}} {
			for at := 1; ; at++ {
				name := fmt.Sprintf("kind %d, %v, short %v, operation %d", k, f.fault, f.short, at)
				target := filepath.Join(dir, fmt.Sprint(k, at, f.fault == syscall.EIO, f.short))
				fault := f
				fault.left = at
				seen := download(t, name, target, w, k, &fault)
				if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, w.data) {
					t.Fatalf("%s: the file is not there, or wrong: %v", name, err)
				}
				if fault.left > 0 { // the whole way had fewer operations
					if at < 15 || seen {
						t.Fatalf("%s: only %d operations, or an error without a fault", name, at)
					}
					break
				}
			}
		}
	}
}

// download runs until the file is finished; seen tells that some step failed.
func download(t *testing.T, name, target string, w *work, k Kind, f *faultFS) (seen bool) {
	t.Helper()
	ours := func(err error) bool {
		if err == nil {
			return true
		}
		seen = true
		if f.left > 0 || !f.short && !errors.Is(err, f.fault) {
			t.Fatalf("%s: %v", name, err)
		}
		return false
	}
	for range 3 {
		p, err := OpenPartial(target, w.id(k), PartialOptions{FS: f, Fsync: true})
		if !ours(err) {
			continue
		}
		if p.Complete() && !bytes.Equal(must(os.ReadFile(target + ".part"))[:len(w.data)], w.data) {
			t.Fatalf("%s: it claims to be complete", name)
		}
		if again(func() bool { return ours(fill(p, w)) }) && again(func() bool { return ours(finish(p, w)) }) {
			if err := p.Close(); err != nil && !errors.Is(err, f.fault) {
				t.Fatalf("%s: close: %v", name, err)
			}
			return seen
		}
		err = p.Close()
		ours(err)
		if exists(target) {
			return seen
		}
	}
	t.Fatalf("%s: never finished", name)
	return seen
}

func must(b []byte, err error) []byte {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		panic(err)
	}
	return b
}

// again tries a step, and once more when it fails.
func again(step func() bool) bool {
	for range 2 {
		if step() {
			return true
		}
	}
	return false
}

func fill(p *Partial, w *work) error {
	if _, ok := p.Size(); !ok { // the first to say a size is wrong
		if err := p.SetSize(w.size() + 9999); err != nil {
			return err
		}
	}
	if err := p.SetSize(w.size()); err != nil {
		return err
	}
	if tree := p.Tree(); tree != nil {
		for q, data := range pieces(tree.Shape(), w.tree) {
			if err := tree.Put(q, data); err != nil {
				return err
			}
		}
	}
	n := ShapeOf(w.size()).Blocks()
	for at := int64(0); at < n; at += 32 {
		if bad, err := p.Write(at, w.blocks(at, min(at+32, n))); err != nil {
			return err
		} else if len(bad) > 0 {
			return fmt.Errorf("bad blocks %v", bad)
		}
	}
	return nil
}

func finish(p *Partial, w *work) error {
	if !p.Complete() {
		if err := fill(p, w); err != nil { // a sync has failed, and all was forgotten
			return err
		}
	}
	if _, err := p.Check(ctx, nil); err != nil {
		return err
	}
	err := p.Finish(FinishOptions{})
	if errors.Is(err, ErrLeftover) {
		return nil
	}
	return err
}

// TestFaultSync: what could not be synced is not held any more, not even after opening anew.
func TestFaultSync(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		w := newWork(t, 61, 20*4096+77)
		for _, atClose := range []bool{false, true} {
			target := filepath.Join(t.TempDir(), "x")
			f := &faultFS{fault: syscall.EIO, sync: true, left: 1}
			p, err := OpenPartial(target, w.id(k), PartialOptions{FS: f, Fsync: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := fill(p, w); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Check(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if atClose {
				err = p.Close()
			} else {
				err = p.Finish(FinishOptions{})
				if p.Complete() || p.DoneBytes() != 0 {
					t.Error("complete after a sync that failed")
				}
				if again := p.Finish(FinishOptions{}); again != ErrIncomplete {
					t.Errorf("finish again: %v", again)
				}
				p.Close()
			}
			if !errors.Is(err, syscall.EIO) || exists(target) {
				t.Fatal(err)
			}
			if p = w.open(t, target, k); p.Done().Len() != 0 {
				t.Errorf("held after a sync that failed: %v", p.Done().All())
			}
			if err := fill(p, w); err != nil || !p.Complete() {
				t.Error(err)
			}
			p.Close()
		}
	})
}

// TestRenameLinked is the way to publish where renameat2 is not to be had.
func TestRenameLinked(t *testing.T) {
	for _, rename := range []func(from, to string) error{renameLinked, renameNew} {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		writeFile(t, a, []byte("a"))
		writeFile(t, b, []byte("b"))
		if err := rename(a, b); !errors.Is(err, ErrExists) || !exists(a) {
			t.Errorf("over a file: %v", err)
		}
		os.Remove(b)
		if err := rename(a, b); err != nil || exists(a) || !exists(b) {
			t.Errorf("%v", err)
		}
	}
	// An attempt that came to the second link, and one that came to the end but not to the sync.
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	f, err := osFS{}.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Link(a, b); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := (osFS{}).Publish(f, a, b, PublishOptions{Fsync: true}); err != nil || exists(a) || !exists(b) {
			t.Errorf("tried again: %v", err)
		}
	}
}
