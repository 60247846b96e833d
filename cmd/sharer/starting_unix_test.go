//go:build unix

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sharer/node"
)

// TestStartedAtTheSameTime: sharer daemon & sharer seed -d DIR. Nobody answers yet when the second looks, and the first says by its number that it starts.
func TestStartedAtTheSameTime(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"seed", "-d", "."}, {"seed", "."}} {
		state, err := os.MkdirTemp("", "s") // a socket's path is short
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(state)
		pid := filepath.Join(state, "pid")
		if err := syscall.Mkfifo(pid, 0o600); err != nil {
			t.Skip(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/seed" {
				fmt.Fprintln(w, `{"end":{}}`)
				return
			}
			fmt.Fprint(w, `{"api":1}`)
		})}
		served := make(chan error, 1)
		go func() {
			f, err := os.OpenFile(pid, os.O_WRONLY, 0) // waits for who reads it: he has found nobody
			if err != nil {
				served <- err
				return
			}
			l, err := net.Listen("unix", filepath.Join(state, "control.sock"))
			fmt.Fprintln(f, os.Getpid())
			f.Close()
			if err == nil {
				err = s.Serve(l)
			}
			served <- err
		}()
		c := newConsole(t)
		c.net.startErr = &node.LockedError{Path: state, PID: os.Getpid()}
		r := c.run(t.Context(), append(args, "--state-dir", state)...)
		if want := map[bool]exit{true: exitDone, false: exitFailed}[args[0] == "status"]; r.code != want {
			t.Errorf("%q: exit %d, want %d: %s", args, r.code, want, r.err)
		}
		s.Close()
		if f, err := os.OpenFile(pid, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil { // lets go who still waits
			f.Close()
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	}
}
