package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sharer/catalog"
	"sharer/node"
)

// listOptions are the flags of ls.
type listOptions struct {
	*options
	peers       bool
	wait        time.Duration
	findTimeout time.Duration
	choose      chosen
	said        func(flag string) bool // it stands on the command line
}

func newList() *command {
	c := newCommand("ls", "[ID|NAME|PATH] | LINK | --peers [HOST:PORT...]", "list what this machine has, a folder, or what peers offer")
	c.long = `Without a link, list what the daemon seeds, fetches and keeps, or the files of one of these by its
name, path, id, or job. Without a daemon the list is as the last one left it.

With the link of a folder, list the files of a folder by its link, or of a folder in it, without fetching them: only
the list itself is fetched. Patterns are those of get.

With --peers, ask the peers that are met what they have, and list it: what most of them have comes first.
With addresses only those are asked. Peers list up to 70 contents each, without names; sizes
are what they claim, until a content is fetched. An id of the list is a link: sharer get ID.`
	c.examples = "sharer ls\nsharer ls isos\nsharer ls --json | jq -r '.items[] | select(.kind==\"get\").job'\nsharer ls lcdp://folder/9c1e... --include '*.iso'\nsharer ls --json lcdp://folder/9c1e... | jq -r '.entries[].link'\nsharer ls --peers\nsharer ls --peers 192.0.2.7:24254\nsharer ls --peers --json | jq -r '.offers[] | select(.size<1e6).id'"
	o := &listOptions{options: c.options, said: c.given}
	f := c.flags
	f.BoolVar(&o.peers, "peers", false, "what peers offer")
	f.DurationVarP(&o.wait, "timeout", "W", 10*time.Second, "`TIME` to wait for answers at most")
	f.DurationVar(&o.findTimeout, "find-timeout", time.Minute, "give up after `TIME` if nobody has the folder's list")
	o.choose.register(f)
	c.outputFlags()
	c.nodeFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runList(ctx, o, args, s) }
	return c
}

func runList(ctx context.Context, o *listOptions, args []string, s *stdio) error {
	switch {
	case !o.peers && len(args) > 1:
		return usagef("ls takes one thing to list, there are %d", len(args))
	case !o.peers && len(args) == 1 && isFolderLink(args[0]):
		o.choose.said = o.said("include") || o.said("exclude")
		return listFolder(ctx, o, args, s)
	case slices.ContainsFunc(choiceFlags, o.said):
		return errChoice
	case !o.peers:
		return listOwn(ctx, o, args, s)
	case o.wait <= 0:
		return usagef("--timeout %s: want more than 0", o.wait)
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	var only []netip.AddrPort
	for _, a := range args {
		addrs, err := resolve(ctx, scr, a)
		if err != nil {
			return err
		}
		only = append(only, addrs[0])
	}
	p, err := openPeer(ctx, o.options, scr, false, false)
	if err != nil {
		return err
	}
	defer p.Close()
	waiting, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	scr.note("asking peers for at most %s", o.wait)
	begun := time.Now()
	offers, asked, err := p.Offers(waiting, only)
	if err != nil {
		return err
	}
	doc := offersDocument{V: 1, Type: "offers", Asked: asked.Peers, Answered: asked.Answered, Offers: []offerRow{}}
	for _, offer := range offers {
		doc.Offers = append(doc.Offers, offerRowOf(offer))
	}
	if asked.Answered == 0 && len(doc.Offers) == 0 && ctx.Err() == nil {
		return &codedError{exitFailed, fmt.Errorf("%w from any of %s within %s; name one that is there with --peer HOST:PORT",
			node.ErrNoAnswer, count(max(asked.Peers, len(only)), "peer"), time.Since(begun).Round(100*time.Millisecond))}
	}
	if o.json {
		scr.event(doc)
		return nil
	}
	scr.note("%s of %s answered; %s", count(doc.Answered, "peer"), fmt.Sprint(doc.Asked), count(len(doc.Offers), "content"))
	doc.writeTable(s)
	return nil
}

func offerRowOf(o catalog.Offer) offerRow {
	row := offerRow{ID: o.ID.String(), Size: o.Size, How: []string{}}
	for _, h := range []struct {
		how  catalog.How
		word string
	}{{catalog.Listed, "listed"}, {catalog.Seen, "seen"}, {catalog.Recommended, "recommended"}} {
		if o.How&h.how != 0 {
			row.How = append(row.How, h.word)
		}
	}
	for _, a := range o.Peers {
		row.Peers = append(row.Peers, a.String())
	}
	return row
}

func (d offersDocument) writeTable(s *stdio) {
	if len(d.Offers) == 0 {
		return
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "SIZE\tPEERS\tHOW\tID\n")
	for _, o := range d.Offers {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", formatSize(o.Size), len(o.Peers), strings.Join(o.How, ","), o.ID)
	}
	w.Flush()
}
