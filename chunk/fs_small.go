package chunk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// InMemory is a file system for small contents that are whole in a moment: what arrives stays in memory, and Publish alone
// writes, once, under a temporary name that becomes the final one. A crash loses it all, and two downloads of one target do
// not see each other: it is for targets that the caller keeps apart. Max bounds each file in bytes.
type InMemory struct{ Max int64 }

var _ FS = InMemory{}

// ErrLarger is wrapped by the error for a file that grows beyond what the caller has expected.
var ErrLarger = errors.New("larger than it was said to be")

// Open makes an empty file.
func (m InMemory) Open(name string) (File, error) { return &memoryFile{name: name, max: m.Max}, nil }

// OpenLocked is Open. Sidecars are longer than what they are about.
func (m InMemory) OpenLocked(name string) (File, bool, error) {
	const sidecar = 64 << 10
	return &memoryFile{name: name, max: m.Max + sidecar}, true, nil
}

// Publish writes the file. As with a download on disk no link is followed, and what another process is writing there is
// ErrLocked.
func (m InMemory) Publish(f File, from, to string, o PublishOptions) error {
	mem, ok := f.(*memoryFile)
	if !ok {
		return &fs.PathError{Op: "publish", Path: to, Err: ErrChanged}
	}
	out, made, err := osFS{}.OpenLocked(from)
	if err != nil {
		return err
	}
	if !made { // one that a crash has left, or an earlier download on disk
		err = out.Truncate(0)
	}
	if err == nil {
		mem.mu.Lock()
		err = writeAt(out, mem.data, 0)
		mem.mu.Unlock()
	}
	if err == nil && o.Fsync {
		err = out.Sync()
	}
	if err == nil { // before it is closed, so that nobody else gets at what has its final name
		err = osFS{}.Publish(out, from, to, o)
	}
	if err != nil {
		err = errors.Join(err, osFS{}.Remove(from))
	}
	return errors.Join(err, out.Close())
}

// Remove removes what an earlier download on disk has left under the name.
func (m InMemory) Remove(name string) error { return osFS{}.Remove(name) }

// memoryFile is a file of InMemory.
type memoryFile struct {
	name string
	max  int64

	mu   sync.Mutex
	data []byte
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.growLocked(off + int64(len(p))); err != nil {
		return 0, err
	}
	return copy(f.data[off:], p), nil
}

func (f *memoryFile) growLocked(size int64) error {
	if size > f.max {
		return fmt.Errorf("%s: %w", f.name, ErrLarger)
	}
	if more := size - int64(len(f.data)); more > 0 {
		f.data = append(f.data, make([]byte, more)...)
	}
	return nil
}

func (f *memoryFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size < int64(len(f.data)) {
		f.data = f.data[:size]
	}
	return f.growLocked(size)
}

func (f *memoryFile) Sync() error  { return nil }
func (f *memoryFile) Close() error { return nil }

func (f *memoryFile) Stat() (os.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return memoryInfo{f.name, int64(len(f.data))}, nil
}

// memoryInfo is the same as long as the size is.
type memoryInfo struct {
	name string
	size int64
}

func (i memoryInfo) Name() string       { return i.name }
func (i memoryInfo) Size() int64        { return i.size }
func (i memoryInfo) Mode() fs.FileMode  { return 0o600 }
func (i memoryInfo) ModTime() time.Time { return time.Unix(0, 0) }
func (i memoryInfo) IsDir() bool        { return false }
func (i memoryInfo) Sys() any           { return nil }
