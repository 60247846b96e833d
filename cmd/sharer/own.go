package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
	"sharer/link"
)

// itemEvent is an item that rm, pin or unpin has changed.
type itemEvent struct {
	V       int           `json:"v"`
	Type    string        `json:"type"` // "removed", "pinned", "unpinned"
	What    string        `json:"what"` // as it was named
	Item    *control.Item `json:"item,omitempty"`
	Deleted []string      `json:"deleted,omitempty"`
	Kept    []string      `json:"kept,omitempty"` // not deleted, since it is the user's own or was changed
}

func newRemove() *command {
	c := newCommand("rm", "ID|NAME|PATH|JOB...", "end the sharing or fetching of something")
	c.long = `End the sharing of what is seeded, and downloads, by id, link, name, path, or the job that ls shows.
The files stay. With --delete-data the files that a download has made are deleted too, unless they were
changed since; a file that was seeded where it is, is never deleted.`
	c.examples = "sharer rm isos\nsharer rm g7 --delete-data"
	var data bool
	c.flags.BoolVar(&data, "delete-data", false, "delete also the files that a download has made")
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		return eachItem(ctx, c.options, args, s, "rm", func(client *control.Client, ch control.Change) error {
			ch.DeleteData = data
			done, err := client.Remove(ctx, ch)
			tell := func(it *control.Item, name string) {
				if c.options.json {
					writeEvent(s.out, itemEvent{1, "removed", ch.What, it, pathTexts(done.Deleted), pathTexts(done.Kept)})
					return
				}
				fmt.Fprintf(s.out, "removed %s\n", escape(name))
				for _, p := range done.Deleted {
					fmt.Fprintf(s.out, "deleted %s\n", shownPath(s, string(p)))
				}
				for _, p := range done.Kept {
					fmt.Fprintf(s.err, "%s stays: it is your own, or was changed\n", escape(string(p)))
				}
			}
			for i, it := range done.Items {
				tell(&done.Items[i], it.Name)
				done.Deleted, done.Kept = nil, nil
			}
			return err
		})
	}
	return c
}

func pathTexts(in []control.Path) (out []string) {
	for _, p := range in {
		out = append(out, string(p))
	}
	return out
}

func newPin() *command {
	c := newCommand("pin", "ID|NAME|PATH|JOB...", "keep something from being removed")
	c.long = `Keep something that ls lists: rm refuses it, and in the store it is not removed for room.`
	c.examples = "sharer pin isos\nsharer pin blake3/3f2a... --name ubuntu"
	var name string
	c.flags.StringVar(&name, "name", "", "`NAME` of the pin, which ls shows and unpin takes")
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		if name != "" && len(args) > 1 {
			return usagef("--name is for one thing, there are %d", len(args))
		}
		return eachItem(ctx, c.options, args, s, "pin", func(client *control.Client, ch control.Change) error {
			ch.Name = name
			done, err := client.Pin(ctx, ch)
			return told(c.options, s, "pinned", ch, done, err)
		})
	}
	return c
}

func newUnpin() *command {
	c := newCommand("unpin", "ID|NAME|PATH|JOB...", "end that something is kept")
	c.long = "End what pin has begun, by what ls shows or by the name of the pin."
	c.examples = "sharer unpin isos"
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		return eachItem(ctx, c.options, args, s, "unpin", func(client *control.Client, ch control.Change) error {
			done, err := client.Unpin(ctx, ch)
			return told(c.options, s, "unpinned", ch, done, err)
		})
	}
	return c
}

func told(o *options, s *stdio, what string, ch control.Change, done control.Changed, err error) error {
	if err != nil {
		return err
	}
	e := itemEvent{V: 1, Type: what, What: ch.What}
	if len(done.Items) > 0 {
		e.Item = &done.Items[0]
	}
	if o.json {
		writeEvent(s.out, e)
	} else {
		fmt.Fprintf(s.out, "%s %s\n", what, escape(ch.What))
	}
	return nil
}

// eachItem does something with each of the things that were named. One that fails does not keep the others from it.
func eachItem(ctx context.Context, o *options, args []string, s *stdio, verb string, do func(*control.Client, control.Change) error) error {
	if len(args) == 0 {
		return usagef("%s needs an id, a name, a path or a job; sharer ls lists them", verb)
	}
	c, err := o.mustReach(ctx, s)
	if err != nil {
		return err
	}
	defer c.Close()
	var codes []exit
	for _, what := range args {
		abs, err := filepath.Abs(what)
		if err == nil {
			err = unknownItem(do(c, control.Change{What: what, Abs: control.Path(abs)}))
		}
		if err == nil {
			continue
		}
		if len(args) == 1 || ctx.Err() != nil {
			return err
		}
		code := exitOf(ctx, err)
		codes = append(codes, code)
		fmt.Fprintf(s.err, "%s %s: %s\n", o.paint(s, red, "sharer:"), escape(what), message(ctx, err, code))
	}
	if len(codes) > 0 {
		return &severalError{code: together(codes, len(args)), failed: len(codes), total: len(args), what: "things"}
	}
	if o.json {
		writeEvent(s.out, endEvent{V: 1, Type: "summary", Code: exitDone.String()})
	}
	return nil
}

// infoDocument is the answer to info --json.
type infoDocument struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "info"
	control.Known
	Link string `json:"link,omitempty"`
}

func newInfo() *command {
	c := newCommand("info", "LINK|ID|PATH|NAME", "tell what is known of a content")
	c.long = `Tell the size and both ids of a content, where it lies here, and how many other peers may have it.
The daemon is asked; a file that it does not know is read.`
	c.examples = "sharer info ubuntu.iso\nsharer info blake3/3f2a... --json"
	c.outputFlags()
	c.stateFlag()
	c.add(daemonFlag(&c.options.daemon))
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runInfo(ctx, c.options, args, s) }
	return c
}

func runInfo(ctx context.Context, o *options, args []string, s *stdio) error {
	if len(args) != 1 {
		return usagef("info takes one link, id, path or name")
	}
	c, err := o.reach(ctx, s)
	if err != nil {
		return err
	}
	doc := infoDocument{V: 1, Type: "info"}
	err = fmt.Errorf("%q: %w", args[0], control.ErrUnknown)
	if c != nil {
		defer c.Close()
		err = meant(args[0], func(what string) (err error) {
			doc.Known, err = c.Know(ctx, what)
			return err
		})
	}
	if errors.Is(err, control.ErrUnknown) {
		sums, herr := hashHere(ctx, args[0])
		switch {
		case herr == nil:
			doc.Known, err = control.Known{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}.String(), BLAKE3: sums.BLAKE3, SHA256: sums.SHA256, Size: sums.Size}, nil
			abs, _ := filepath.Abs(args[0])
			doc.Paths = []control.Path{control.Path(abs)}
		case c == nil && idLike(args[0]) != "":
			return &codedError{exitDaemon, fmt.Errorf("%w, which could tell of %s. Start one: sharer daemon", control.ErrNone, shorten(args[0], 100))}
		}
	}
	if err != nil {
		return unknownItem(err)
	}
	doc.Link = linkOf(doc.Known)
	if o.json {
		writeEvent(s.out, doc)
		return nil
	}
	doc.print(s)
	return nil
}

// hashHere reads a file.
func hashHere(ctx context.Context, path string) (chunk.Sums, error) {
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return chunk.Sums{}, err
	}
	sums, err := chunk.Sum(ctx, f, stamp.Size, nil, nil)
	return sums, errors.Join(err, f.Close())
}

// idLike is the id that a text names, "" if none.
func idLike(text string) string {
	l, err := link.Parse(text)
	if err != nil || !l.ID.Valid() {
		return ""
	}
	return l.ID.String()
}

// linkOf is the link of a content both of whose ids are known.
func linkOf(k control.Known) string {
	if k.BLAKE3 == (chunk.Hash{}) || k.SHA256 == (chunk.Hash{}) {
		return ""
	}
	name := ""
	if len(k.Items) > 0 {
		name = strings.TrimSuffix(k.Items[0].Name, "/")
	} else if len(k.Paths) > 0 {
		name = filepath.Base(string(k.Paths[0]))
	}
	sums := chunk.Sums{BLAKE3: k.BLAKE3, SHA256: k.SHA256, Size: k.Size}
	if strings.HasPrefix(k.ID, "folder/") {
		if folder.CheckPath(name) != nil {
			name = ""
		}
		sums.Size = k.Page // a link says the sha256 of a short list too
		return link.ForFolder(sums, name, listedSize(k)).String()
	}
	return link.For(sums, name).String()
}

// listedSize is how many bytes a folder's list names, as seed says it in the link.
func listedSize(k control.Known) int64 {
	if len(k.Items) == 0 {
		return k.Size
	}
	return cmp.Or(k.Items[0].Listed, k.Size)
}

func (d infoDocument) print(s *stdio) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(s.out, "%-8s %s\n", name, fmt.Sprintf(format, args...))
	}
	if d.Size >= 0 {
		row("size", "%s (%d bytes)", formatSize(d.Size), d.Size)
	}
	row("id", "%s", d.ID)
	if d.BLAKE3 != (chunk.Hash{}) {
		row("blake3", "%s", d.BLAKE3)
	}
	if d.SHA256 != (chunk.Hash{}) {
		row("sha256", "%s", d.SHA256)
	}
	for _, p := range d.Paths {
		row("path", "%s", shownPath(s, string(p)))
	}
	row("holders", "%d", d.Holders)
	for _, it := range d.Items {
		text := fmt.Sprintf("%s %s, %s", it.Kind, escape(it.Name), haveOf(it))
		if it.Job != "" {
			text = it.Job + ": " + text
		}
		if it.Error != "" {
			text += " (" + escape(it.Error) + ")"
		}
		if it.Pinned {
			text += ", pinned"
		}
		if !it.Added.IsZero() {
			text += ", since " + it.Added.Local().Format(time.DateTime)
		}
		row("here", "%s", text)
	}
	if d.Link != "" {
		row("link", "%s", d.Link)
	}
}
