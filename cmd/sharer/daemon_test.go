package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// otherDaemon answers on the socket of a state folder as a daemon of another version would.
func otherDaemon(t *testing.T, api int) (state string) {
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"api":%d,"release":"9.9","pid":4711,"of_tomorrow":[]}`, api)
	})
}

// answering is a state folder on whose socket somebody answers.
func answering(t *testing.T, answer http.HandlerFunc) (state string) {
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
	s := &http.Server{Handler: answer}
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

// TestEndsWithItsReader: what would print for ever ends when the program that reads it does, or a pipeline would never end.
func TestEndsWithItsReader(t *testing.T) {
	state := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/log" {
			fmt.Fprintln(w, `{"event":{"time":"2025-01-02T03:04:05Z","level":"info","text":"one"}}`)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, `{"api":1}`)
	})
	c := newConsole(t)
	for _, args := range [][]string{{"log", "-f", "--state-dir", state}, {"ping", "-i", "10ms", "--daemon", "never", "127.0.0.1:1"}} {
		var out, errs bytes.Buffer
		s := c.stdio(&out, &errs)
		s.out = gone{}
		if code := run(t.Context(), args, s); code != exitFailed || !strings.Contains(errs.String(), "standard output: broken pipe") {
			t.Errorf("%q: exit %d, %s", args, code, errs.String())
		}
	}
}

// TestRemedyIsOfTheCommand: what is said to help names no flag that the command does not have.
func TestRemedyIsOfTheCommand(t *testing.T) {
	state := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/version" {
			fmt.Fprint(w, `{"api":1}`)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"error":{"codes":["not_found"],"message":"no peer knows it"}}`)
	})
	c := newConsole(t)
	r := c.run(t.Context(), "deny", "subscribe", "lcdp://0x"+someHex+"/deny.list", "--state-dir", state)
	r.want(t, exitNotFound, "", "no peer knows it. Name a peer that has it: sharer peers add HOST:PORT", "!--find-timeout")
}

// gone is a pipe whose reader has ended.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

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
