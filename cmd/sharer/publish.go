package main

import (
	"context"
	"errors"

	"golang.org/x/text/unicode/norm"

	"sharer/identity"
)

func newPublish() *command {
	c := newCommand("publish", "NAME PATH", "give a file or a folder a name that can change")
	c.long = `Share a file or a folder, and sign that NAME stands for it: whoever has the link lcdp://0xKEY/NAME, where KEY is
yours, fetches what NAME stands for at that time. The same command with another PATH, or with a changed file,
makes it stand for something else; peers never go back to an older one. A daemon does that by itself whenever it finds
PATH changed. The name lives on while you are away, as long as one peer that has asked for it holds it.
That link is printed on standard output; those of the contents are with -v on standard error.

Of a folder NAME/index.html is a page that lists it, for browsers, and NAME/folder.json its list of files; a path behind
NAME leads to one of them. Without a daemon this runs, and shares, until Ctrl-C.`
	c.examples = "sharer publish isos ~/isos\nsharer publish page.html ~/page.html"
	o := &seedOptions{options: c.options}
	f := c.flags
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out what matches `GLOB`, by name or by path in the folder; repeatable")
	f.BoolVar(&o.followLinks, "follow-links", false, "follow symbolic links that stay inside the folder")
	c.outputFlags()
	c.progressFlags()
	c.nodeFlags()
	c.mappingFlag()
	c.transferFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		if len(args) != 2 {
			return usagef("publish needs a name and one file or folder; see sharer help publish")
		}
		if o.publish = args[0]; o.publish == "" {
			return usagef("the name is empty")
		}
		o.nameOnly = true
		return runSeed(ctx, o, args[1:], s)
	}
	return c
}

// checkPublish refuses names that cannot be published. They are made what a link can carry: NFC.
func (o *seedOptions) checkPublish(args []string) error {
	if o.publish == "" {
		return nil
	}
	if len(args) != 1 {
		return usagef("--publish takes one file or folder, there are %d", len(args))
	}
	o.publish = norm.NFC.String(o.publish)
	if err := identity.CheckName(o.publish + identity.ManifestName); err != nil {
		if errors.Is(identity.CheckName(o.publish), identity.ErrName) {
			err = identity.CheckName(o.publish)
		}
		return usagef("%s: %v", escape(shorten(o.publish, 80)), err)
	}
	return nil
}

// showPublished prints the names that stand for something from now on, the link that people want last.
func showPublished(scr *screen, rs []identity.Record) {
	if scr.opts.json {
		for _, r := range rs {
			scr.event(published(r, -1))
		}
		return
	}
	if len(rs) == 0 {
		return
	}
	for _, r := range rs[1:] {
		scr.detail("%s", published(r, -1).Link)
	}
	scr.result(published(rs[0], -1).Link)
}
