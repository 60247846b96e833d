package chunk

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

var (
	// ErrChanged is returned when a file is no longer the one that was hashed.
	ErrChanged = errors.New("file has changed")
	// ErrNotRegular is returned for a symbolic link, folder, device, pipe or socket.
	ErrNotRegular = errors.New("not a regular file")
	// ErrWouldWait is returned by ReadNow for bytes that may have to be waited for.
	ErrWouldWait = errors.New("not in memory")
)

// OpenRegular opens a file for reading, and never anything but a regular file: what the path names is looked at
// before it is opened, so that no device is touched; the opening follows no link at the last element and never
// blocks; and what was opened is looked at again. The error is ErrNotRegular, or that of the system.
func OpenRegular(path string) (*os.File, Stamp, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, Stamp{}, err
	}
	if !before.Mode().IsRegular() {
		return nil, Stamp{}, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	f, err := openRead(path)
	if isLinkError(err) {
		return nil, Stamp{}, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	} else if err != nil {
		return nil, Stamp{}, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, Stamp{}, err
	}
	return f, StampOf(fi), nil
}

// ReadNow reads like io.ReaderAt from an open file of size bytes what is in memory; the error is ErrWouldWait for what may
// not be. The caller keeps it open.
func ReadNow(f *os.File, p []byte, off, size int64) (int, error) {
	if inMemory(f) {
		return f.ReadAt(p, off)
	}
	return readNow(f, p, off, size)
}

// DefaultSources is the number of descriptors that Sources keep open when nothing else is said.
const DefaultSources = 128

// Sources reads users' files through a bounded set of open descriptors, the least recently used being closed first.
// Safe for concurrent use. Each concurrent ReadAt may hold one descriptor beyond the bound while it lasts.
type Sources struct {
	max   int
	open  func(path string) (*os.File, Stamp, error)
	other func() bool

	mu     sync.Mutex
	closed bool
	byPath map[string]*source
	lru    list.List // of *source, most recently used first
}

// source is one open file. refs counts the readers, and one for being in the set; the last to leave closes it.
type source struct {
	path string
	f    *os.File
	refs int
	elem *list.Element // nil: no longer in the set
	mem  bool          // the file system is in memory
}

// NewSources returns an empty set of at most max descriptors, DefaultSources when max is not positive.
func NewSources(max int) *Sources {
	if max <= 0 {
		max = DefaultSources
	}
	return &Sources{max: max, open: OpenRegular, byPath: make(map[string]*source)}
}

// ReadAt reads like io.ReaderAt from the file at path, as long as its stamp is want, before the first read and after
// every read. When it is not, or becomes another while it is read, the error is ErrChanged and no byte is given out.
// Other errors are ErrNotRegular, fs.ErrClosed after Close, io.EOF as for any ReaderAt, and those of the system.
func (s *Sources) ReadAt(path string, want Stamp, p []byte, off int64) (int, error) {
	for {
		src, fresh, err := s.acquire(path, want)
		if err != nil {
			return 0, err
		}
		n, err := src.f.ReadAt(p, off)
		stamp, statErr := stampNow(src.f)
		if statErr == nil && want.Fits(stamp) {
			s.release(src)
			return n, err
		}
		clear(p[:n])
		s.drop(src)
		s.release(src)
		if statErr != nil {
			return 0, statErr
		}
		if fresh {
			return 0, &fs.PathError{Op: "read", Path: path, Err: ErrChanged}
		}
		// What was open is not what was hashed, but what the path names by now may be.
	}
}

// ReadNow is ReadAt for what can be read without waiting for a disk: the error is ErrWouldWait where the file is not open,
// where some of the bytes are not in memory, where the system cannot tell, and where ReadAt would have more to say.
func (s *Sources) ReadNow(path string, want Stamp, p []byte, off int64) (int, error) {
	src, err := s.held(path)
	if err != nil {
		return 0, err
	}
	if src == nil {
		return 0, ErrWouldWait
	}
	defer s.release(src)
	n := 0
	if src.mem {
		n, err = src.f.ReadAt(p, off)
	} else {
		n, err = readNow(src.f, p, off, want.Size)
	}
	if err != nil && err != io.EOF {
		return 0, ErrWouldWait
	}
	if stamp, statErr := stampNow(src.f); statErr != nil || !want.Fits(stamp) {
		clear(p[:n])
		return 0, ErrWouldWait
	}
	return n, err
}

// acquire returns the open file of a path with a reference; fresh tells that it was opened, and found to be as
// wanted, just now.
func (s *Sources) acquire(path string, want Stamp) (src *source, fresh bool, err error) {
	if src, err := s.held(path); src != nil || err != nil {
		return src, false, err
	}
	f, stamp, err := s.open(path)
	for IsTooMany(err) && (s.Spare() || s.other != nil && s.other()) {
		f, stamp, err = s.open(path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("open source: %w", err)
	}
	if !want.Fits(stamp) {
		f.Close()
		return nil, false, &fs.PathError{Op: "open", Path: path, Err: ErrChanged}
	}
	src = &source{path: path, f: f, refs: 1, mem: inMemory(f)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		f.Close()
		return nil, false, fs.ErrClosed
	}
	if s.byPath[path] == nil { // else another reader was faster: this one is closed after use
		src.refs++
		src.elem = s.lru.PushFront(src)
		s.byPath[path] = src
		for s.lru.Len() > s.max {
			s.dropLocked(s.lru.Back().Value.(*source))
		}
	}
	return src, true, nil
}

// held returns the open file of a path, if there is one.
func (s *Sources) held(path string) (*source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fs.ErrClosed
	}
	src := s.byPath[path]
	if src != nil {
		src.refs++
		s.lru.MoveToFront(src.elem)
	}
	return src, nil
}

func (s *Sources) release(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unrefLocked(src)
}

func (s *Sources) unrefLocked(src *source) {
	if src.refs--; src.refs == 0 {
		src.f.Close() // opened for reading: nothing can be lost
	}
}

func (s *Sources) drop(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(src)
}

// dropLocked takes a file out of the set; it is closed with its last reader.
func (s *Sources) dropLocked(src *source) {
	if src.elem == nil {
		return
	}
	s.lru.Remove(src.elem)
	src.elem = nil
	delete(s.byPath, src.path)
	s.unrefLocked(src)
}

// Borrow tells where to ask for a descriptor when none is left and the set has none to spare. It must be called
// before the first read; spare returns false when it has none.
func (s *Sources) Borrow(spare func() bool) { s.other = spare }

// Spare closes the least recently used file that nobody reads; false when there is none.
func (s *Sources) Spare() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.lru.Back(); e != nil; e = e.Prev() {
		if src := e.Value.(*source); src.refs == 1 {
			s.dropLocked(src)
			return true
		}
	}
	return false
}

// Len is the number of descriptors in the set.
func (s *Sources) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lru.Len()
}

// Forget closes the descriptor of a path, if there is one.
func (s *Sources) Forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if src := s.byPath[path]; src != nil {
		s.dropLocked(src)
	}
}

// Close closes all descriptors; later reads fail with fs.ErrClosed.
func (s *Sources) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, src := range s.byPath {
		s.dropLocked(src)
	}
}

// IsTooMany says whether an error means that the process or the system has no descriptors left.
func IsTooMany(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
