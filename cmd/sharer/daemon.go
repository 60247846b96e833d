package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"sharer/daemon"
	"sharer/limit"
	"sharer/mirror"
	"sharer/watch"
)

// daemonOptions are the flags of daemon.
type daemonOptions struct {
	*options
	seedRoots []string
	noWatch   bool
	minFree   leastFree

	mirrorName, mirrorContact string
	cap, capThen              string
	maxLag, scrubEvery        time.Duration
	scrubRate                 string
	mirrorStore               string
}

func newDaemon() *command {
	c := newCommand("daemon", "", "run the node that the other commands use")
	c.long = `Run a node until Ctrl-C or SIGTERM. While it runs the other commands let it do their work: what
is seeded goes on being seeded, what is fetched goes on when the command or the daemon was stopped,
and both survive restarts. One daemon owns a state folder.`
	c.examples = `sharer daemon
sharer seed -d ~/isos
sharer get -d lcdp://blake3/3f2a.../ubuntu.iso`
	o := &daemonOptions{options: c.options}
	c.flags.StringArrayVar(&o.seedRoots, "seed-root", nil, "`DIR` of which other users of this machine may have files seeded, repeatable")
	o.minFree.register(c.flags)
	c.flags.BoolVar(&o.noWatch, "no-watch", false, "do not look after what is seeded: changes are noticed at the next start")
	c.flags.StringVar(&o.cap, "cap", "off", "what may pass in a month, as `2T/month` each way, or UP:DOWN/month")
	c.flags.StringVar(&o.capThen, "cap-then", "16K", "`RATE` each way when that is used up; 0: nothing but what keeps the node in the swarm")
	c.flags.StringVar(&o.mirrorName, "mirror-name", "", "`NAME` of who runs the mirrors here, for those who ask")
	c.flags.StringVar(&o.mirrorContact, "mirror-contact", "", "how to reach that one, `TEXT`")
	c.flags.DurationVar(&o.maxLag, "mirror-max-lag", 24*time.Hour, "`TIME` that a mirror may be behind before /readyz says so; 0: any")
	c.flags.DurationVar(&o.scrubEvery, "scrub-every", 30*24*time.Hour, "`TIME` in which all that mirrors keep is read and verified once; 0: never")
	c.flags.StringVar(&o.scrubRate, "scrub-bw", "", "bytes a second of that, at most, such as `5M` (default: what half of --scrub-every needs)")
	c.flags.StringVar(&o.mirrorStore, "mirror-store", "", "`SOCKET` of a process that keeps the contents of mirrors, such as sharer-s3 (default: they lie in the state folder)")
	c.outputFlags()
	c.nodeFlags()
	c.rescanFlag()
	c.mappingFlag()
	c.limitFlags()
	c.webFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		o.minFree.settle(c.flags)
		return runDaemon(ctx, o, args, s)
	}
	return c
}

// runDaemon runs until the context ends, which is its normal end.
func runDaemon(ctx context.Context, o *daemonOptions, args []string, s *stdio) (err error) {
	if len(args) > 0 {
		return usagef("daemon takes no arguments; share a folder by sharer seed -d %s while it runs", quoteShell(args[0]))
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	given, err := o.given(ctx, scr)
	if err != nil {
		return err
	}
	config, err := o.nodeConfig(scr, given, true, false)
	if err != nil {
		return err
	}
	scrub := mirror.ScrubPace{Every: o.scrubEvery}
	if o.scrubRate != "" {
		if scrub.Rate, err = parseSize(o.scrubRate); err != nil {
			return usagef("--scrub-bw %q: %v", o.scrubRate, err)
		}
	}
	monthly, then, err := o.monthly()
	if err != nil {
		return err
	}
	hup, unhup := catchReload() // also while it opens and closes: that would end it in the middle
	defer unhup()
	p, err := s.open(daemon.Config{Node: config, Keep: true, Cap: monthly, CapThen: then, MirrorName: o.mirrorName, MirrorContact: o.mirrorContact, MaxLag: o.maxLag, Scrub: scrub, MirrorStore: o.mirrorStore, SeedRoots: o.seedRoots, MinFree: int64(o.minFree.bytes), Release: release, Web: o.web(),
		Watch: watch.Options{Off: o.noWatch, Rescan: o.rescan}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, n := range p.Notes() {
		scr.note("%s", n)
	}
	o.noteLimits(p, scr)
	showChats(p, scr)
	ready := readyEvent{V: 1, Type: "ready"}
	for _, a := range p.Addrs() {
		ready.Listen = append(ready.Listen, a.String())
	}
	if a, ok := p.(abouter); ok && a.About().Web.IsValid() {
		ready.Web = "http://" + a.About().Web.String() + "/"
		scr.note("the page of this node: %s", ready.Web)
	}
	if o.json {
		scr.event(ready)
	}
	scr.note("the daemon is running on %s, with %s. Ctrl-C to stop", strings.Join(ready.Listen, " "), config.StateDir)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			o.reload(p, scr)
		}
	}
}

// monthly is what --cap and --cap-then say.
func (o *daemonOptions) monthly() (limit.Cap, int64, error) {
	c, err := limit.ParseCap(o.cap)
	if err != nil {
		return c, 0, usagef("--cap %v", err)
	}
	then, err := limit.ParseRates(o.capThen)
	if err != nil || then.Up != then.Down || then.Up == 0 {
		return c, 0, usagef("--cap-then %q: want one rate in bytes a second, such as 16K; 0 is nothing", o.capThen)
	}
	return c, then.Up, nil
}
