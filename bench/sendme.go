package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// serveSendme has sendme hold a file for one who knows its ticket, without relays or discovery.
func serveSendme(ctx context.Context, t *task) (sv service, err error) {
	send := t.command(ctx, t.sendme, "send", "--relay", "disabled", "--ticket-type", "addresses", "--no-progress", "--magic-ipv4-addr", t.host+":0", t.source)
	if send.Dir, err = os.MkdirTemp(t.work, "sendme"); err != nil { // its store
		return sv, err
	}
	out, err := send.StdoutPipe()
	if err == nil {
		err = sv.start(send)
	}
	if err != nil {
		return sv, err
	}
	ticket := ""
	for lines := bufio.NewScanner(out); ticket == "" && lines.Scan(); {
		_, ticket, _ = strings.Cut(lines.Text(), "sendme receive ")
	}
	if ticket == "" {
		return sv, errors.New("it ended without a ticket")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the server
	sv.inside = filepath.Base(t.source)
	sv.fetch = func(k int) []string {
		// It writes to where it is.
		return t.client("sh", "-c", `mkdir "$1" && cd "$1" && shift && exec "$@"`, "sh", t.target(k), t.sendme, "receive", "--relay", "disabled", "--no-progress", ticket)
	}
	return sv, nil
}
