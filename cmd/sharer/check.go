package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
)

// checkEvent is one checked file.
type checkEvent struct {
	V         int    `json:"v"`
	Type      string `json:"type"` // "file"
	Path      string `json:"path"`
	PathBytes []byte `json:"path_bytes,omitempty"`
	ID        string `json:"id"`
	OK        bool   `json:"ok"`
	Message   string `json:"message,omitempty"` // why not
}

// runCheck compares files with the lines of a list. A file that differs is an
// integrity failure, whatever else there is.
func runCheck(ctx context.Context, o *hashOptions, args []string, s *stdio) error {
	if len(args) > 0 {
		return usagef("--check takes its paths from the file; %q is left over", shorten(args[0], 80))
	}
	lines, err := readCheckFile(o.check, s.in)
	if err != nil {
		return err
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	begun := time.Now()
	r := &hashRun{ctx: ctx, scr: scr, task: scr.task(view{name: stateHashing, state: stateHashing, total: -1})}
	defer func() { scr.end(r.task, "") }()
	differ := 0
	var codes []exit
	for _, l := range lines {
		sums, err := r.sumNamed(l.path)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		why := ""
		switch {
		case err != nil:
			codes = append(codes, exitOf(ctx, err))
			why = reason(err)
		case !l.matches(sums):
			differ++
			codes = append(codes, exitIntegrity)
			why = "differs"
		}
		o.printCheck(scr, l, why)
	}
	switch {
	case differ > 0:
		return &severalError{code: exitIntegrity, failed: len(codes), total: len(lines), what: "files"}
	case len(codes) > 0:
		return &severalError{code: together(codes, len(lines)), failed: len(codes), total: len(lines), what: "files"}
	case o.json:
		scr.event(summaryEvent{V: 1, Type: "summary", Files: len(lines), Bytes: r.bytes, Seconds: seconds(time.Since(begun)), Verified: true, Code: exitDone.String()})
	}
	return nil
}

// printCheck tells of one file; why is empty if it is the same.
func (o *hashOptions) printCheck(scr *screen, l checkedLine, why string) {
	switch {
	case o.json:
		scr.event(checkEvent{V: 1, Type: "file", Path: l.path, PathBytes: pathBytes(l.path), ID: l.id.String(), OK: why == "", Message: why})
	case why == "":
		if !o.quiet {
			scr.result(escape(l.path) + ": OK")
		}
	default:
		scr.result(escape(l.path) + ": " + o.paintFor(scr.s.outTTY, scr.s, red, "FAILED") + " (" + escape(why) + ")")
	}
}

// sumNamed hashes a file, or what a symbolic link points to.
func (r *hashRun) sumNamed(path string) (chunk.Sums, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return chunk.Sums{}, err
	}
	return r.sum(real)
}

// checkedLine is one line of a list.
type checkedLine struct {
	id   chunk.ID
	bare bool // only hex: b3sum and sha256sum look the same, so either hash will do
	path string
}

func (l checkedLine) matches(s chunk.Sums) bool {
	return l.id.Hash == s.SHA256 && (l.bare || l.id.Kind == chunk.SHA256) ||
		l.id.Hash == s.BLAKE3 && (l.bare || l.id.Kind == chunk.BLAKE3)
}

// readCheckFile reads a list; - is standard input. An error names the line.
func readCheckFile(name string, stdin io.Reader) ([]checkedLine, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, pathError(err)
		}
		defer f.Close()
		stdin = f
	}
	var out []checkedLine
	lines := bufio.NewScanner(stdin)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSuffix(lines.Text(), "\r")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l, err := parseCheckLine(text)
		if err != nil {
			return nil, usagef("%s, line %d: %v", name, n, err)
		}
		out = append(out, l)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(out) == 0 {
		return nil, usagef("%s holds no line to check", name)
	}
	return out, nil
}

// parseCheckLine reads a line of sharer hash, b3sum or sha256sum, or one of their
// --tag form: SHA256 (path) = hex.
func parseCheckLine(text string) (checkedLine, error) {
	var l checkedLine
	rest, escaped := strings.CutPrefix(text, `\`)
	for _, tag := range []struct {
		text string
		kind chunk.Kind
	}{{"SHA256 (", chunk.SHA256}, {"BLAKE3 (", chunk.BLAKE3}} {
		inner, ok := strings.CutPrefix(rest, tag.text)
		if !ok {
			continue
		}
		i := strings.LastIndex(inner, ") = ")
		if i < 0 {
			return l, errors.New("there is no ) = HEX")
		}
		hash, err := chunk.ParseHash(inner[i+len(") = "):])
		if err != nil {
			return l, errors.New("there are no 64 hex digits at its end")
		}
		if i == 0 {
			return l, errors.New("there is no path")
		}
		l.id, l.path = chunk.ID{Kind: tag.kind, Hash: hash}, inner[:i]
		return l.unescape(escaped)
	}
	id, path, ok := strings.Cut(rest, " ")
	// The character behind the space is a space, or * for a file read as binary.
	if !ok || len(path) < 2 || path[0] != ' ' && path[0] != '*' {
		return l, errors.New("want an id, two spaces and a path")
	}
	plain, named := strings.CutPrefix(id, "sha256/")
	var err error
	if l.id, err = chunk.ParseID(plain); err != nil || l.id.Kind != chunk.SHA256 && l.id.Kind != chunk.BLAKE3 {
		return l, fmt.Errorf("%q is not an id", shorten(id, 80))
	}
	l.bare = !named && l.id.Kind == chunk.SHA256
	l.path = path[1:]
	return l.unescape(escaped)
}

// unescape undoes the escapes of checkLine.
func (l checkedLine) unescape(escaped bool) (checkedLine, error) {
	if !escaped {
		return l, nil
	}
	var b strings.Builder
	for i := 0; i < len(l.path); i++ {
		c := l.path[i]
		if c == '\\' {
			if i++; i == len(l.path) {
				return l, errors.New("it ends in a backslash")
			}
			switch l.path[i] {
			case '\\':
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			default:
				return l, fmt.Errorf(`unknown escape \%c`, l.path[i])
			}
		}
		b.WriteByte(c)
	}
	l.path = b.String()
	return l, nil
}
