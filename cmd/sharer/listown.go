package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"sharer/control"
	"sharer/daemon"
)

// itemsDocument is the answer to ls --json; the table is made from it too.
type itemsDocument struct {
	V       int            `json:"v"`
	Type    string         `json:"type"`    // "items"
	Running bool           `json:"running"` // a daemon has said it; else it is what the last one left
	Saved   *time.Time     `json:"saved,omitempty"`
	Items   []control.Item `json:"items"`
}

// filesDocument is the answer to ls NAME --json.
type filesDocument struct {
	V     int            `json:"v"`
	Type  string         `json:"type"` // "files"
	Files []control.File `json:"files"`
}

// listOwn lists what this machine has, or the files of one thing of that.
func listOwn(ctx context.Context, o *listOptions, args []string, s *stdio) error {
	c, err := o.reach(ctx, s)
	if err != nil {
		return err
	}
	if c == nil && len(args) == 1 {
		return &codedError{exitDaemon, fmt.Errorf("%w, which could list the files of %q. Start one: sharer daemon", control.ErrNone, shorten(args[0], 80))}
	}
	if c == nil {
		return listSnapshot(o, s)
	}
	defer c.Close()
	if len(args) == 1 {
		return listFiles(ctx, o, c, args[0], s)
	}
	items, err := c.Items(ctx)
	if err != nil {
		return err
	}
	doc := itemsDocument{V: 1, Type: "items", Running: true, Items: append([]control.Item{}, items...)}
	doc.write(o, s)
	return nil
}

// listSnapshot lists what the last daemon has left.
func listSnapshot(o *listOptions, s *stdio) error {
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return err
	}
	items, saved, err := daemon.Snapshot(dir)
	doc := itemsDocument{V: 1, Type: "items", Items: append([]control.Item{}, items...)}
	note := func(format string, args ...any) {
		if !o.quiet {
			fmt.Fprintf(s.err, format+"\n", args...)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		note("no daemon has run with %s yet. Start one: sharer daemon", escape(dir))
	case err != nil:
		return pathError(err)
	default:
		saved = saved.UTC()
		doc.Saved = &saved
		note("no daemon is running; this is as of %s ago", shortDuration(time.Since(saved)))
	}
	doc.write(o, s)
	return nil
}

func listFiles(ctx context.Context, o *listOptions, c *control.Client, what string, s *stdio) error {
	doc := filesDocument{V: 1, Type: "files", Files: []control.File{}}
	err := meant(what, func(what string) error {
		return c.Files(ctx, what, func(f control.File) error {
			doc.Files = append(doc.Files, f)
			return nil
		})
	})
	if err != nil {
		return unknownItem(err)
	}
	if o.json {
		writeEvent(s.out, doc)
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, f := range doc.Files {
		fmt.Fprintf(w, "%s\tblake3/%s\t%s\n", formatSize(f.Size), f.BLAKE3, shownPath(s, string(f.Path)))
	}
	return w.Flush()
}

// meant asks for what names an item: what lies at a path goes before what is called so elsewhere.
func meant(what string, ask func(what string) error) error {
	abs, err := filepath.Abs(what)
	fi, serr := os.Stat(abs)
	if err != nil || idLike(what) != "" || jobNumber.MatchString(what) || serr != nil && !strings.ContainsRune(what, filepath.Separator) {
		return ask(what)
	}
	// A file can tell of itself; a folder that is not shared is less than what has its name.
	if err := ask(abs); serr == nil && fi.Mode().IsRegular() || !errors.Is(err, control.ErrUnknown) {
		return err
	}
	return ask(what)
}

// jobNumber is how downloads are numbered.
var jobNumber = regexp.MustCompile(`^g[0-9]+$`)

// unknownItem adds what to do about a name that the daemon does not know.
func unknownItem(err error) error {
	if errors.Is(err, control.ErrUnknown) {
		return &codedError{exitNotFound, fmt.Errorf("%w. sharer ls lists what there is", err)}
	}
	if errors.Is(err, control.ErrBad) {
		return usagef("%s", strings.TrimPrefix(err.Error(), control.ErrBad.Error()+": "))
	}
	return err
}

func (d itemsDocument) write(o *listOptions, s *stdio) {
	if o.json {
		writeEvent(s.out, d)
		return
	}
	if len(d.Items) == 0 {
		return
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "KIND\tNAME\tSIZE\tHAVE\tUP\tPEERS\tPIN\tID\n")
	for _, it := range d.Items {
		kind, pinned, size := it.Kind, "-", "?"
		if it.Job != "" {
			kind += " " + it.Job
		}
		if it.Pinned {
			pinned = "yes"
			if it.Pin != "" {
				pinned = escape(it.Pin)
			}
		}
		if it.Size >= 0 {
			size = formatSize(it.Size)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", kind, escape(it.Name), size, haveOf(it), formatSize(it.Up), it.Peers, pinned, shortID(it.ID))
	}
	w.Flush()
}

// haveOf is how much of an item is here, and what it does if that is not the usual.
func haveOf(it control.Item) string {
	text := "?"
	switch {
	case it.State == "empty":
		return it.State
	case it.Have == it.Size:
		text = "100%"
	case it.Size > 0:
		text = fmt.Sprintf("%d%%", it.Have*100/it.Size)
	}
	switch it.State {
	case "seeding", "downloading", "done":
		return text
	}
	return text + " " + it.State
}

// shortID is an id as the table shows it; rm and the others take it too, if one item alone has it.
func shortID(id string) string {
	kind, hex, ok := strings.Cut(id, "/")
	if !ok {
		kind, hex = "", id
	} else {
		kind += "/"
	}
	const head, tail = 8, 4
	if len(hex) <= head+tail {
		return id
	}
	return kind + hex[:head] + ".." + hex[len(hex)-tail:]
}
