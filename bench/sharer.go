package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// build builds sharer, with tags or none.
func build(ctx context.Context, work, tags string) (string, error) {
	path := filepath.Join(work, "sharer"+tags)
	if out, err := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", path, "sharer/cmd/sharer").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sharer: %w: %s", err, out)
	}
	return path, nil
}

func serveSharer(ctx context.Context, t *task) (service, error) {
	return serveSharers(ctx, t, t.servers)
}

// serveOne is what more sources than one are held against: they should be no slower.
func serveOne(ctx context.Context, t *task) (service, error) { return serveSharers(ctx, t, 1) }

// serveSharers serves with n nodes, all of which those who fetch know.
func serveSharers(ctx context.Context, t *task, n int) (sv service, err error) {
	var peers []string
	var s seeding
	for i := range n {
		server := t.command(ctx, t.sharer, "seed", "--json", "-q", "--isolated", "--listen", t.host+":0", "--state-dir", filepath.Join(t.work, fmt.Sprintf("seed%dof%d", i, n)), t.source)
		out, err := server.StdoutPipe()
		if err == nil {
			err = sv.start(server)
		}
		if err != nil {
			return sv, err
		}
		if s, err = ready(out); err != nil {
			return sv, err
		}
		peers = append(peers, "--peer", s.at)
	}
	sv.fetch = func(k int) []string {
		return t.client(append(t.get(k), append(peers, s.link)...)...)
	}
	return sv, nil
}

// get is the beginning of a get by client k.
func (t *task) get(k int) []string {
	from := "0.0.0.0:0"
	if t.host == "127.0.0.1" {
		from = "127.0.0.1:0"
	}
	return []string{t.sharer, "get", "-q", "--isolated", "--listen", from, "--state-dir", t.scratch(k), "-o", t.target(k)}
}

// seeding is what a seeding node said until it answered.
type seeding struct {
	at    string   // host and port
	link  string   // of the folder, or of the only file
	files []string // links of the files
}

// ready reads what a seeding node says until it answers.
func ready(out io.Reader) (s seeding, err error) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Type, Link, Folder string
			Listen             []string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return s, err
		}
		switch e.Type {
		case "file":
			s.files = append(s.files, e.Link)
		case "ready":
			s.link = e.Folder
			if len(s.files) == 1 {
				s.link = s.files[0]
			}
			if s.link == "" || len(e.Listen) == 0 {
				return s, errors.New("sharer seed is ready without a link")
			}
			s.at = e.Listen[0]
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the server
			return s, nil
		}
	}
	return s, errors.Join(errors.New("sharer seed ended before it was ready"), lines.Err())
}
