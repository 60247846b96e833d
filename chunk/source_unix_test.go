//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package chunk

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSpecialFiles opens a pipe that nobody writes to, and a socket: neither may block.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, sock := filepath.Join(dir, "pipe"), filepath.Join(dir, "sock")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := NewSources(1)
	defer s.Close()
	for _, path := range []string{pipe, sock, "/dev/null"} {
		if _, err := s.ReadAt(path, Stamp{}, make([]byte, 1), 0); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := (osFS{}).Open(path); !errors.Is(err, ErrNotRegular) {
			t.Errorf("for writing %s: %v", path, err)
		}
	}
}
