package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// otherDaemon answers on the socket of a state folder as a daemon of another version would.
func otherDaemon(t *testing.T, api int) (state string) {
	t.Helper()
	state, err := os.MkdirTemp("", "s") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	l, err := net.Listen("unix", filepath.Join(state, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"api":%d,"release":"9.9","pid":4711,"of_tomorrow":[]}`, api)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return state
}

// TestDaemonOfAnotherVersion: each verb says so in one line, with what to do.
func TestDaemonOfAnotherVersion(t *testing.T) {
	state := otherDaemon(t, 7)
	c := newConsole(t)
	for _, args := range [][]string{
		{"ls"}, {"rm", "x"}, {"status"}, {"log"}, {"limit", "1M"}, {"pin", "x"}, {"info", "x"}, {"peers"}, {"peers", "ban", "192.0.2.1"},
		{"get", strings.Repeat("a", 64)}, {"seed", "."}, {"ping", "-c", "1", "127.0.0.1:9"}, {"chat", "--to", "127.0.0.1:9", "x"},
	} {
		r := c.run(t.Context(), append(args, "--state-dir", state)...)
		want := "sharer: the daemon is of another version: it is sharer 9.9 (pid 4711) and speaks version 7 of the control interface, this one speaks 1. Restart it with this version, or use --daemon never\n"
		if r.code != exitDaemon || !strings.HasSuffix(r.err, want) {
			t.Errorf("%v: exit %d, %q", args, r.code, r.err)
		}
	}
}
