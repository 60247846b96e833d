package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/index"
	"sharer/link"
	"sharer/seed"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	*options
	offline bool
	salvage string
	subset  string

	part float64 // of subset: 0 to 1
}

func newVerify() *command {
	c := newCommand("verify", "[ID|PATH...]", "read again what is shared, and compare it with its ids")
	c.long = `Read files again, and compare them with what they were when they were hashed: those that an
ID or a link names, those at or below a PATH, or all that this node knows. Nothing is changed.
A running daemon stops offering at once what is found to be changed or damaged; with --offline
it is left alone.

changed means that somebody wrote to the file (share it again to offer it as it is now);
damaged, that nobody did and its bytes are others: the disk, or its cable, or memory, is bad.

--salvage copies files out of unfinished downloads (NAME.part) at or below the PATHs, as far as
they are complete. The exit code is 5 if something is not what it was, 6 if something could not
be read.`
	c.examples = `sharer verify
sharer verify ~/isos --json | jq -r 'select(.state=="damaged").path'
sharer verify --subset 5%
sharer verify --salvage ~/rescued ~/Downloads`
	o := &verifyOptions{options: c.options}
	f := c.flags
	f.BoolVar(&o.offline, "offline", false, "tell the daemon nothing")
	f.StringVar(&o.salvage, "salvage", "", "copy what is complete in unfinished downloads to `DIR`")
	f.StringVar(&o.subset, "subset", "", "read only a `PART` of the files, chosen at random, such as 5%")
	c.outputFlags()
	c.progressFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runVerify(ctx, o, args, s) }
	return c
}

// checkedEvent is one file that was read again.
type checkedEvent struct {
	V         int    `json:"v"`
	Type      string `json:"type"` // "file"
	Path      string `json:"path"`
	PathBytes []byte `json:"path_bytes,omitempty"`
	ID        string `json:"id"`
	Size      int64  `json:"size"`
	State     string `json:"state"` // ok, changed, damaged, gone, unreadable, incomplete, salvaged
	To        string `json:"to,omitempty"`
	Message   string `json:"message,omitempty"`
}

// verifying is one run.
type verifying struct {
	o    *verifyOptions
	scr  *screen
	r    *records
	task *task
	rate rateMeter

	seen                map[string]bool // paths
	files, bad, unread  int
	bytes               int64
	doubtful            []string // paths that the daemon shall not offer
	partials, salvaged  int
	incomplete, skipped int
}

func runVerify(ctx context.Context, o *verifyOptions, args []string, s *stdio) error {
	o.part = 1
	if o.subset != "" {
		number, percent := strings.CutSuffix(o.subset, "%")
		n, err := strconv.ParseFloat(number, 64)
		if percent {
			n /= 100
		}
		if err != nil || !(n > 0 && n <= 1) {
			return usagef("--subset %q: want a part such as 5%% or 0.05", shorten(o.subset, 40))
		}
		o.part = n
	}
	if o.salvage != "" && len(args) == 0 {
		return usagef("--salvage needs the folder where the unfinished downloads are")
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	r, err := openRecords(o.options, s)
	if err != nil {
		return err
	}
	defer r.close()
	v := &verifying{o: o, scr: scr, r: r, seen: map[string]bool{}}
	begun := time.Now()
	v.task = scr.task(view{name: "verifying", state: "verifying", total: -1})
	if len(args) == 0 {
		err = r.all(func(e index.Entry) error { return v.check(ctx, e, false) })
	}
	for _, a := range args {
		if err = v.argument(ctx, a); err != nil {
			break
		}
	}
	scr.end(v.task, "")
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if err := v.tellDaemon(ctx, s); err != nil {
		return err
	}
	return v.result(begun)
}

// argument verifies what one argument names.
func (v *verifying) argument(ctx context.Context, arg string) error {
	if _, err := os.Lstat(arg); err == nil {
		return v.path(ctx, arg)
	} else if l, perr := link.Parse(arg); perr == nil {
		es, err := v.r.of(ctx, l)
		if errors.Is(err, errNothing) {
			return &codedError{exitNotFound, fmt.Errorf("%s: %w. sharer ls lists what is", shorten(arg, 100), errNothing)}
		}
		return v.each(ctx, es, err)
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return err
	}
	es, err := v.r.under(abs)
	if err == nil && len(es) == 0 {
		return fmt.Errorf("%s: %w, neither a file nor an id that is known", shorten(arg, 100), fs.ErrNotExist)
	}
	return v.each(ctx, es, err)
}

// path verifies what is known at or below a path, and unfinished downloads there.
func (v *verifying) path(ctx context.Context, arg string) error {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return err
	}
	before := v.files + v.skipped
	es, err := v.r.under(abs)
	if err := v.each(ctx, es, err); err != nil {
		return err
	}
	parts, err := partialsAt(abs)
	if err != nil {
		return pathError(err)
	}
	for _, target := range parts {
		if err := v.partial(ctx, target); err != nil {
			return err
		}
	}
	if v.files+v.skipped == before && len(parts) == 0 {
		return &codedError{exitNotFound, fmt.Errorf("%s: %w. sharer seed shares it, sharer hash prints its ids", arg, errNothing)}
	}
	return nil
}

func (v *verifying) each(ctx context.Context, es []index.Entry, err error) error {
	for _, e := range es {
		if err == nil {
			err = v.check(ctx, e, true)
		}
	}
	return err
}

// check reads one file again. One that is gone is bad only if it was asked for. The error is that of ctx.
func (v *verifying) check(ctx context.Context, e index.Entry, asked bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if v.seen[e.Place.Path] {
		return nil
	}
	v.seen[e.Place.Path] = true
	if v.o.part < 1 && rand.Float64() >= v.o.part {
		v.skipped++
		return nil
	}
	v.task.update(func(w *view) { w.name = "verifying " + escape(e.Place.Path); w.total = v.bytes + e.Content.Size })
	c := seed.Verify(ctx, e, v.read)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v.files++
	event := checkedEvent{Path: e.Place.Path, ID: idOf(e.Content).String(), Size: e.Content.Size, State: string(c.Verdict)}
	if c.Err != nil {
		event.Message = reason(c.Err)
	}
	switch c.Verdict {
	case seed.Sound:
	case seed.Missing:
		if asked {
			v.bad++
			v.doubtful = append(v.doubtful, e.Place.Path)
		} else {
			v.files--
			return nil // not shared any more, and nobody asked
		}
	case seed.Unreadable:
		v.unread++
	default:
		v.bad++
		v.doubtful = append(v.doubtful, e.Place.Path)
	}
	v.tell(event)
	return nil
}

func idOf(c index.Content) chunk.ID {
	if c.BLAKE3 == (chunk.Hash{}) {
		return chunk.ID{Kind: chunk.SHA256, Hash: c.SHA256}
	}
	return chunk.ID{Kind: chunk.BLAKE3, Hash: c.BLAKE3}
}

func (v *verifying) read(n int) {
	v.bytes += int64(n)
	rate := v.rate.rate(time.Now(), v.bytes)
	v.task.update(func(w *view) { w.done, w.rate, w.files = v.bytes, rate, v.files })
}

// verdicts are the words for people.
var verdicts = map[string]string{
	"changed": "CHANGED on disk since it was hashed (not offered as it was); run: sharer seed", "damaged": "DAMAGED: nobody wrote to it, and its bytes are others. Check the disk; restore it from a copy",
	"gone": "GONE since it was hashed", "unreadable": "cannot be read", "incomplete": "incomplete download; sharer get goes on with it", "salvaged": "complete, copied to",
}

func (v *verifying) tell(e checkedEvent) {
	e.V, e.Type, e.PathBytes = 1, "file", pathBytes(e.Path)
	word := verdicts[e.State]
	switch {
	case v.o.json:
		v.scr.event(e)
		return
	case e.State == "ok":
		if !v.o.quiet {
			v.scr.result(escape(e.Path) + "  ok")
		}
		return
	case e.State == "changed":
		word += " " + escape(quoteShell(e.Path))
	case e.State == "unreadable":
		word += ": " + escape(e.Message)
	case e.State == "salvaged":
		word += " " + escape(e.To)
	}
	v.scr.result(escape(e.Path) + "  " + v.o.paintFor(v.scr.s.outTTY, v.scr.s, red, word))
}

// tellDaemon has the daemon withdraw what is not what it was.
func (v *verifying) tellDaemon(ctx context.Context, s *stdio) error {
	if v.o.offline || len(v.doubtful) == 0 {
		return nil
	}
	c, err := control.Dial(ctx, v.r.dir)
	if err != nil {
		return nil // nobody offers it
	}
	defer c.Close()
	return c.Doubt(ctx, v.doubtful)
}

func (v *verifying) result(begun time.Time) error {
	switch {
	case v.bad > 0:
		return &severalError{code: exitIntegrity, failed: v.bad + v.unread, total: v.files, what: "files"}
	case v.unread > 0:
		return &severalError{code: exitSome, failed: v.unread, total: v.files, what: "files"}
	}
	if v.o.json {
		v.scr.event(summaryEvent{V: 1, Type: "summary", Files: v.files, Skipped: v.skipped, Bytes: v.bytes, Seconds: seconds(time.Since(begun)), Verified: true, Code: exitDone.String()})
	}
	line := fmt.Sprintf("%s, %s read: all as they were", count(v.files, "file"), formatSize(v.bytes))
	if v.skipped > 0 {
		line += fmt.Sprintf("; %d left out", v.skipped)
	}
	if v.partials > 0 {
		line += fmt.Sprintf("; %s, %d salvaged", count(v.partials, "unfinished download"), v.salvaged)
	}
	v.scr.note("%s", line)
	return nil
}

// partialsAt finds the targets of unfinished downloads at or below a path. Links are not followed.
func partialsAt(path string) (targets []string, err error) {
	const suffix = ".part.sharer"
	for _, end := range []string{suffix, ".part", ""} {
		if target, ok := strings.CutSuffix(path, end); ok {
			if fi, err := os.Lstat(target + suffix); err == nil && fi.Mode().IsRegular() {
				return []string{target}, nil
			}
		}
	}
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if target, ok := strings.CutSuffix(p, suffix); ok && d.Type().IsRegular() {
			targets = append(targets, target)
		}
		return nil
	})
	return targets, err
}

// partial reads an unfinished download. If it is complete, and --salvage wants that, it is copied.
func (v *verifying) partial(ctx context.Context, target string) error {
	id, _ := chunk.PartialIDs(target)
	part := chunk.PartName(target)
	e := index.Entry{Place: index.Place{Path: part}}
	fi, err := os.Lstat(part)
	if err != nil || !id.Valid() {
		return nil // of another program, or just finished
	}
	e.Content.Size = fi.Size()
	if id.Kind == chunk.SHA256 {
		e.Content.SHA256 = id.Hash
	} else {
		e.Content.BLAKE3 = id.Hash
	}
	v.partials++
	v.task.update(func(w *view) { w.name = "verifying " + escape(part); w.total = v.bytes + fi.Size() })
	c := seed.Verify(ctx, e, v.read)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	event := checkedEvent{Path: part, ID: id.String(), Size: fi.Size(), State: "incomplete"}
	switch {
	case c.Verdict == seed.Unreadable:
		v.files++
		v.unread++
		event.State, event.Message = string(c.Verdict), reason(c.Err)
	case c.Verdict == seed.Sound && v.o.salvage != "":
		if event.To, err = salvage(part, filepath.Join(v.o.salvage, filepath.Base(target))); err != nil {
			return fmt.Errorf("--salvage: %w", pathError(err))
		}
		v.salvaged++
		event.State = "salvaged"
	case c.Verdict == seed.Sound:
		event.State = "ok"
	default:
		v.incomplete++
	}
	v.tell(event)
	return nil
}

// salvage copies a file to a path, or beside it if that is taken, and says where it is.
func salvage(from, to string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return "", err
	}
	in, _, err := chunk.OpenRegular(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	name := to
	for n := 1; ; n++ {
		out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if errors.Is(err, fs.ErrExist) {
			name = fmt.Sprintf("%s.%d", to, n)
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(out, in)
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return "", errors.Join(err, os.Remove(name))
		}
		return name, nil
	}
}
