package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"sharer/internal/atomicfile"
)

const (
	socketName  = "control.sock"
	pointerName = "control.path" // holds the path of the socket where STATE/control.sock would be too long

	// longest is what every system takes: 103 bytes and a NUL on macOS and FreeBSD, 107 on Linux.
	longest = 100
)

// SocketPath is where the socket of a state folder lies: in it, or, where its path is too long for a socket,
// where the pointer file in it says. The error is one of the file system.
func SocketPath(stateDir string) (string, error) {
	path, err := filepath.Abs(filepath.Join(stateDir, socketName))
	if err != nil || len(path) <= longest {
		return path, err
	}
	text, err := os.ReadFile(filepath.Join(stateDir, pointerName))
	return strings.TrimSpace(string(text)), err
}

// Listen opens the socket of a state folder, which the caller owns: what an earlier process left there
// is replaced. Closing the listener removes it.
func Listen(stateDir string) (net.Listener, error) {
	path, err := filepath.Abs(filepath.Join(stateDir, socketName))
	if err != nil {
		return nil, err
	}
	private := ""
	if len(path) > longest {
		if private, err = pointElsewhere(stateDir); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
		path = filepath.Join(private, socketName)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// The folder is the user's alone already; this is for one that was made by hand.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return &listener{Listener: l, private: private, pointer: filepath.Join(stateDir, pointerName)}, nil
}

// pointElsewhere makes a folder of our own with a short path, and says in the state folder which it is.
func pointElsewhere(stateDir string) (string, error) {
	if old, err := SocketPath(stateDir); err == nil && strings.HasPrefix(filepath.Base(filepath.Dir(old)), "sharer-") {
		_ = os.RemoveAll(filepath.Dir(old)) // of a process that was killed; it may be gone
	}
	dir, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "sharer-")
	if err != nil || len(dir)+1+len(socketName) > longest {
		_ = os.Remove(dir)
		if dir, err = os.MkdirTemp("", "sharer-"); err != nil {
			return "", err
		}
	}
	pointer := filepath.Join(stateDir, pointerName)
	return dir, atomicfile.Write(pointer, []byte(filepath.Join(dir, socketName)+"\n"), atomicfile.How{Sync: atomicfile.Lazy}) // each start makes another
}

// listener removes what Listen made.
type listener struct {
	net.Listener
	private, pointer string
}

func (l *listener) Close() error {
	err := l.Listener.Close() // removes the socket
	if l.private != "" {
		_ = os.RemoveAll(l.private) // it lies among temporary files, and is empty
		_ = os.Remove(l.pointer)    // it leads nowhere from now on
	}
	return err
}

// dial connects to the socket at path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
