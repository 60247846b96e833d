package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"sharer/control"
	"sharer/deny"
	"sharer/identity"
	"sharer/link"
)

// denyOptions are the flags of deny.
type denyOptions struct {
	*options
	reason, ref, legal string
	double             bool
}

func newDeny() *command {
	c := newCommand("deny", "add ENTRY | rm ENTRY | ls | apply | subscribe LINK | unsubscribe LINK", "say what is not fetched, served or told of")
	c.long = `Keep lists of what this node does not carry. An entry is a link, blake3/HEX, sha256/HEX, folder/HEX,
key/HEX (a publisher), peer/ADDRESS (or CIDR), or //HEX (the SHA-256 of one of these). It holds at once, for
fetching, serving, telling others, mirrors and HTTP, which answers 410, or 451 with --legal.

The lists are the files STATE/deny.d/*.list, read again when they change; add and rm change
own.list, and STATE/deny.log says when. subscribe follows a list that somebody publishes, as data: who
publishes it decides what you do not carry, until you unsubscribe. apply removes what is denied from all that the daemon
keeps; files that you seed are never touched.`
	c.examples = `sharer deny add blake3/3f2a... --reason malware --ref case-17
sharer deny add lcdp://folder/9c1e.../isos --legal "court order 12"
sharer deny rm blake3/3f2a...
sharer deny subscribe lcdp://3f2a.../deny.list
sharer deny apply`
	o := &denyOptions{options: c.options}
	f := c.flags
	c.own = []string{"reason"} // SHARER_REASON is what a hook is told
	f.StringVar(&o.reason, "reason", "", "`TEXT` for your log, and for who is refused")
	f.StringVar(&o.ref, "ref", "", "`TEXT` that finds the case again")
	f.StringVar(&o.legal, "legal", "", "the law that demands it: `TEXT`; HTTP answers 451")
	f.BoolVar(&o.double, "double-hash", false, "add: write the hash of the entry, so that the list does not tell where to look")
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runDeny(ctx, o, args, s) }
	return c
}

func runDeny(ctx context.Context, o *denyOptions, args []string, s *stdio) error {
	if len(args) == 0 {
		args = []string{"ls"}
	}
	verb, args := args[0], args[1:]
	want, ok := map[string]int{"add": 1, "rm": 1, "ls": 0, "apply": 0, "subscribe": 1, "unsubscribe": 1}[verb]
	if !ok {
		return usagef("deny cannot %q; want add, rm, ls, apply, subscribe or unsubscribe", shorten(verb, 40))
	}
	if len(args) != want {
		return usagef("deny %s takes %s, not %d", verb, count(want, "argument"), len(args))
	}
	entry := ""
	var list link.Link
	var err error
	switch verb {
	case "subscribe", "unsubscribe":
		if list, err = link.Parse(args[0]); err != nil || list.Published == "" {
			return usagef("%q is no published list: want lcdp://KEY/deny.list", shorten(args[0], 80))
		}
	case "add", "rm":
		if entry, err = denial(args[0], o.double); err != nil {
			return err
		}
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	c, err := o.reachDaemon(ctx, s)
	if err != nil {
		return err
	}
	defer c.Close()
	switch verb {
	case "add":
		if err := c.AddDenial(ctx, control.Denial{Entry: entry, Reason: o.reason, Ref: o.ref, Legal: o.legal}); err != nil {
			return err
		}
		scr.note("denied: %s. sharer deny apply removes what is kept of it", entry)
		return nil
	case "rm":
		err := c.RemoveDenial(ctx, entry)
		if errors.Is(err, control.ErrUnknown) {
			err = &codedError{exitNotFound, fmt.Errorf("%s is not in the own list. sharer deny ls shows what is", entry)}
		}
		return err
	case "subscribe":
		err := c.SubscribeDeny(ctx, identity.PublicKey(list.Publisher), list.Published)
		if exitOf(ctx, err) == exitNotFound { // here is no flag to look longer, nor one for a peer
			err = &codedError{exitNotFound, fmt.Errorf("%w. Name a peer that has it: sharer peers add HOST:PORT", err)}
		}
		return err
	case "unsubscribe":
		err := c.UnsubscribeDeny(ctx, identity.PublicKey(list.Publisher), list.Published)
		if errors.Is(err, control.ErrUnknown) {
			err = &codedError{exitNotFound, fmt.Errorf("not subscribed: %s. sharer deny ls shows the lists", escape(shorten(args[0], 100)))}
		}
		return err
	case "apply":
		p, err := c.ApplyDeny(ctx)
		switch {
		case err != nil:
			return err
		case o.json:
			scr.event(purgeEvent{1, "purge", p})
		default:
			scr.result(fmt.Sprintf("%s removed, %s", count(p.Stored, "content"), formatSize(p.Bytes)))
		}
		return nil
	}
	return listDenials(ctx, o, scr, c)
}

// denial is an entry as a list has it, of what a person types.
func denial(text string, double bool) (string, error) {
	e, ok, err := deny.Parse(text)
	if !ok || err != nil {
		l, linkErr := link.Parse(text)
		if linkErr != nil || !l.ID.Valid() {
			return "", usagef("%q is no entry: want a link, blake3/HEX, sha256/HEX, folder/HEX, key/HEX, peer/ADDRESS or //HEX", shorten(text, 80))
		}
		e = deny.Entry{Kind: deny.Content, ID: l.ID}
		if l.Folder {
			e.Kind = deny.Folder
		}
	}
	if double && e.Kind != deny.Double && e.Kind != deny.Peer {
		e = deny.Entry{Kind: deny.Double, Hash: deny.DoubleOf(e.String())}
	}
	return e.String(), nil
}

// purgeEvent is the answer of deny apply.
type purgeEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "purge"
	control.Purge
}

// denialsDocument is the answer of deny ls.
type denialsDocument struct {
	V       int              `json:"v"`
	Type    string           `json:"type"` // "denials"
	Entries []control.Denial `json:"entries"`
}

func listDenials(ctx context.Context, o *denyOptions, scr *screen, c *control.Client) error {
	entries, err := c.Denials(ctx)
	if err != nil {
		return err
	}
	if o.json {
		if entries == nil {
			entries = []control.Denial{}
		}
		scr.event(denialsDocument{V: 1, Type: "denials", Entries: entries})
		return nil
	}
	w := tabwriter.NewWriter(scr.s.out, 0, 0, 2, ' ', 0)
	for _, e := range entries {
		why := e.Reason
		for _, part := range []struct{ key, text string }{{"ref", e.Ref}, {"legal", e.Legal}} {
			if part.text != "" {
				why += " " + part.key + "=" + part.text
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Entry, escape(strings.TrimSuffix(e.List, ".list")), escape(strings.TrimSpace(why)))
	}
	return w.Flush()
}
