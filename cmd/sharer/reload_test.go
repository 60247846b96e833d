package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// While a daemon talks, SIGHUP may change how much it says: both at once is no race (go test -race), and it counts.
func TestReloadWhileTalking(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	var said bytes.Buffer
	s := &stdio{out: io.Discard, err: &said, args: []string{"daemon", "--config", file}, getenv: func(string) string { return "" }}
	scr := newScreen(&options{}, s)
	defer scr.close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				scr.note("a note")
				scr.detail("a detail")
				scr.warn(warningEvent{Message: "a warning"})
			}
		}
	})
	for _, text := range []string{"[daemon]\nverbose = 2\n", "[daemon]\nquiet = true\n"} {
		write(text)
		scr.opts.reload(nil, scr)
	}
	close(stop)
	wg.Wait()
	said.Reset()
	for _, tc := range []struct{ text, want string }{
		{"[daemon]\nquiet = true\n", ""},
		{"", "settings read again: a note"},
		{"[daemon]\nverbose = 2\n", "settings read again: a note a detail"},
	} {
		write(tc.text)
		said.Reset()
		scr.opts.reload(nil, scr)
		scr.note("a note")
		scr.detail("a detail")
		got := strings.ReplaceAll(said.String(), ": "+listed(live, "and")+" count from now on, others from the next start", ":")
		if got = strings.Join(strings.Fields(got), " "); got != tc.want {
			t.Errorf("after %q: %q, want %q", tc.text, got, tc.want)
		}
	}
}
