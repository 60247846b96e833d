package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/node"
)

// getOptions are the flags of get.
type getOptions struct {
	*options
	output       string
	force        bool
	rename       bool
	findTimeout  time.Duration
	stallTimeout time.Duration
	seed         keepSeeding
	seedSet      bool
	jobs         int
	minFree      leastFree
	fsync        bool
	unverified   bool
	choose       chosen
	said         func(flag string) bool // it stands on the command line
}

const maxJobs = 64

func newGet() *command {
	c := newCommand("get", "LINK...", "fetch content by its link or id")
	c.long = `Fetch content by its link or id, in any form that people paste: lcdp://blake3/...,
http://127.0.0.1:24255/blake3/..., blake3/HEX, HEX (sha256). Every byte is verified; a
file appears under its final name only when it is complete. With - the links are read
from standard input, one a line; blank lines and lines that begin with # are skipped.

What is interrupted goes on when the same command is given again: it keeps NAME.part and
NAME.part.sharer beside NAME. A file that is there already with the same bytes is success.`
	c.long += `

The link of a folder fetches all its files into a folder of its name, or into -o DIR; one
with a path behind the id, that file or folder only. A pattern of --include and --exclude
names files or folders: *.iso anywhere, docs/*.md from the top, ** for folders between.
--find-timeout counts once for all of a folder: what nobody has holds up nothing else, and is
given up when nothing of any file has come for that long. Of a link with both hashes each has
half of it.

A link lcdp://0xKEY/NAME, or http://127.0.0.1:24255/latest/KEY/NAME, is what a publisher has put under
that name: the newest that a peer knows is fetched, a file or a folder, or with a path behind it what is there.`
	c.examples = `sharer get lcdp://blake3/3f2a.../ubuntu.iso
sharer get lcdp://folder/9c1e...?n=isos -o isos --include '*.iso'
sharer get blake3/3f2a... -o ubuntu.iso --find-timeout 10m
sharer get 3f2a... -o - | tar x
sharer get blake3/77ab.../film.webm --http 127.0.0.1:8080
sharer get lcdp://0xe13a.../isos
sharer get - -o downloads/ < links.txt`
	o := &getOptions{options: c.options, said: c.given}
	f := c.flags
	c.own = []string{"http"} // elsewhere it is the node's own, and always there
	c.contrary = append(c.contrary, pair{"force", "rename"})
	f.StringVarP(&o.output, "output", "o", "", "`PATH` of the file, or of a folder for it; - for standard output")
	f.BoolVar(&o.force, "force", false, "replace a file that is there with other content")
	f.BoolVar(&o.rename, "rename", false, "take a free name if there is a file with other content")
	f.DurationVar(&o.findTimeout, "find-timeout", time.Minute, "give up after `TIME` if nobody has it")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 5*time.Minute, "give up after `TIME` without a byte")
	f.Var(&o.seed, "seed", "go on offering what was fetched: 0, 30m, forever (default 0)")
	f.IntVarP(&o.jobs, "jobs", "j", 4, "fetch `N` at the same time, at most 64")
	f.BoolVar(&o.fsync, "fsync", false, "wait until each file is on the medium before it counts as done")
	f.BoolVar(&o.unverified, "unverified", false, "take names of files too: some small nodes share by name, and nothing verifies it")
	f.StringVar(&o.http, "http", "off", "`ADDR:PORT` where browsers and players read what arrives, while get runs; or off")
	o.minFree.register(f)
	o.choose.register(f)
	c.outputFlags()
	c.progressFlags()
	c.nodeFlags()
	c.transferFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		o.seedSet = f.Changed("seed")
		o.minFree.settle(f)
		o.choose.said = c.given("include") || c.given("exclude")
		if o.output == "-" && c.given("output") { // what is set for good gives way
			o.json, o.detach = o.json && c.given("json"), o.detach && c.given("detach")
		}
		return runGet(ctx, o, args, s)
	}
	return c
}

func (o *getOptions) check() error {
	switch {
	case o.force && o.rename:
		return usagef("--force and --rename contradict each other")
	case o.json && o.output == "-":
		return usagef("--json and -o - both want standard output")
	case o.jobs < 1 || o.jobs > maxJobs:
		return usagef("--jobs %d: want 1 to %d", o.jobs, maxJobs)
	case o.findTimeout <= 0:
		return usagef("--find-timeout %s: want more than 0", o.findTimeout)
	case o.stallTimeout <= 0:
		return usagef("--stall-timeout %s: want more than 0", o.stallTimeout)
	}
	return o.choose.check()
}

// runGet fetches all links and ends when each is done or has failed.
func runGet(ctx context.Context, o *getOptions, args []string, s *stdio) error {
	if err := o.check(); err != nil {
		return err
	}
	items, err := readLinks(args, s.in, o.unverified)
	if err != nil {
		return err
	}
	if err := o.checkFolders(items); err != nil {
		return err
	}
	// What is wrong with -o is said before a node starts, unless it depends on what a link leads to.
	t := &targets{}
	if !anyFolder(items) {
		if t, err = chooseTargets(items, o.output); err != nil {
			return err
		}
		defer t.cleanUp()
	}

	scr := newScreen(o.options, s)
	defer scr.close()
	for _, it := range items {
		for _, why := range it.link.Ignored {
			scr.warn(warningEvent{Job: it.job, Message: fmt.Sprintf("%s: %s is not used", it.label(), why)})
		}
	}
	p, err := openPeer(ctx, o.options, scr, false, o.fsync)
	if err != nil {
		return err
	}
	defer p.Close()
	client, byDaemon := p.(*control.Client)
	if byDaemon {
		client.Keep = o.keep()
	}
	if byDaemon && o.detach {
		return o.detachAll(ctx, scr, client, items)
	}
	showChats(p, scr)
	closeWeb := o.serveArriving(p, scr, args)
	defer closeWeb()

	g := &getting{o: o, s: s, scr: scr, peer: p, alone: len(items) == 1, byDaemon: byDaemon}
	begun := time.Now()
	if anyFolder(items) {
		g.resolveNames(ctx, items)
		g.readFolders(ctx, items)
		if t, err = chooseTargets(items, o.output); err != nil {
			return err
		}
		defer t.cleanUp()
	}
	g.toStdout = t.stdout
	scr.board.expect(len(items))
	g.all(ctx, t.groups)
	err = g.result(ctx, items)
	if ctx.Err() != nil && err != nil {
		line := resumeLine(s.args, t.stdout)
		if byDaemon && !t.stdout {
			line = resumeHint(client, line)
		}
		scr.note("%s", line)
		return err
	}
	if g.fetched > 0 && !byDaemon {
		g.keepSeeding(ctx)
	}
	if err == nil && o.json {
		scr.event(g.summary(items, time.Since(begun)))
	}
	return err
}

// getting is one run of get.
type getting struct {
	o        *getOptions
	s        *stdio
	scr      *screen
	peer     peer
	alone    bool // there is one link: its error is the command's
	toStdout bool
	byDaemon bool

	mu      sync.Mutex
	fetched int // items that are done
}

// all fetches the groups, a few at the same time, and the items of a group, which
// want the same path, one after the other. It returns when all have ended.
func (g *getting) all(ctx context.Context, groups [][]*item) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, g.o.jobs)
	for _, group := range groups {
		slots <- struct{}{} // a cancelled context ends the others soon: no need to watch it here
		wg.Go(func() {
			defer func() { <-slots }()
			force := g.o.force
			for _, it := range group {
				g.one(ctx, it, force)
				// --force is for files that were there before: two links of one run
				// never overwrite each other.
				force = force && it.err != nil
			}
		})
	}
	wg.Wait()
}

// one fetches one item and prints what became of it.
func (g *getting) one(ctx context.Context, it *item, force bool) {
	if it.err != nil {
		return // of a folder that could not be read, which was said
	}
	if it.err = ctx.Err(); it.err != nil {
		return
	}
	if it.tree {
		g.folder(ctx, it, force)
		return
	}
	task := g.scr.task(view{name: it.label(), job: it.job, id: it.link.ID.String(), state: string(node.LookingForPeers), total: it.link.Size})
	if it.got, it.err = g.fetch(ctx, it, force, task); it.err != nil && g.older(ctx, it, it.err) {
		it.got, it.err = g.fetch(ctx, it, force, task)
	}
	last := ""
	switch {
	case it.err != nil:
	case it.got.Existed:
		last = it.label() + "  already have it"
	default:
		last = fmt.Sprintf("%s  done  %s in %s", it.label(), formatSize(it.got.Size), shortDuration(it.got.Duration))
	}
	g.scr.end(task, last)
	if it.err != nil {
		if code := exitOf(ctx, it.err); !g.alone && ctx.Err() == nil {
			g.scr.fail(warningEvent{Code: code.String(), Job: it.job, ID: it.link.ID.String(), Message: about(it.label(), message(ctx, it.err, code))})
		}
		return
	}
	if it.named != "" {
		it.link.ID = chunk.ID{Kind: chunk.BLAKE3, Hash: it.got.Sums.BLAKE3}
		g.scr.warn(warningEvent{Job: it.job, ID: it.link.ID.String(), Message: fmt.Sprintf("%s: as %s gave it, unverified; it is %s", it.label(), it.got.From, it.link.ID)})
	}
	g.mu.Lock()
	g.fetched++
	g.mu.Unlock()
	switch {
	case g.toStdout:
	case g.o.json:
		g.scr.event(gotEvent{V: 1, Type: "file", Job: it.job, ID: it.link.ID.String(), Path: it.got.Path, PathBytes: pathBytes(it.got.Path),
			Size: it.got.Size, Seconds: seconds(it.got.Duration), Unverified: it.named != "", Existed: it.got.Existed, Fetched: it.got.Fetched, Resumed: it.got.Resumed})
	default:
		g.scr.result(shownPath(g.s, it.got.Path))
	}
}

// fetch gets one item under its name or, with --rename, under the first free one.
func (g *getting) fetch(ctx context.Context, it *item, force bool, task *task) (node.Got, error) {
	const mostNames = 1000
	for n := 0; ; n++ {
		path := numbered(it.path, n)
		within, room := g.room(ctx, path)
		want := node.Get{
			ID: it.link.ID, Also: it.link.Also, Size: it.link.Size, Peers: it.link.Peers,
			Path: path, Force: force,
			FindTimeout: g.o.findTimeout, StallTimeout: g.o.stallTimeout,
			Progress: func(p node.Progress) {
				room.look(p)
				task.update(func(v *view) {
					v.state, v.done, v.total, v.rate, v.peers, v.sources = string(p.State), p.Done, p.Total, p.Rate, p.Peers, p.Sources
				})
			},
		}
		if g.toStdout {
			want.Out = g.s.out
		}
		get := g.peer.Get
		if it.named != "" {
			get = func(ctx context.Context, want node.Get) (node.Got, error) {
				return g.peer.GetNamed(ctx, it.named, want)
			}
		}
		got, err := get(within, want)
		err = room.end(within, err)
		if !g.o.rename || !errors.Is(err, node.ErrExists) || n == mostNames {
			return got, err
		}
	}
}

// result is the error of the whole run.
func (g *getting) result(ctx context.Context, items []*item) error {
	if g.alone {
		return items[0].err
	}
	var failed []exit
	for _, it := range items {
		if it.err == nil {
			continue
		}
		code := exitOf(ctx, it.err)
		if code.bySignal() {
			return it.err
		}
		failed = append(failed, code)
	}
	if len(failed) == 0 {
		return nil
	}
	return &severalError{code: together(failed, len(items)), failed: len(failed), total: len(items), what: "links"}
}

// keepSeeding offers what was fetched for as long as --seed says.
func (g *getting) keepSeeding(ctx context.Context) {
	if g.o.seed == 0 || ctx.Err() != nil {
		return
	}
	var end <-chan time.Time
	if g.o.seed > 0 {
		timer := time.NewTimer(time.Duration(g.o.seed))
		defer timer.Stop()
		end = timer.C
	}
	g.scr.note("done, seeding (%s). Ctrl-C to stop", &g.o.seed)
	select {
	case <-ctx.Done():
	case <-end:
	}
}

func (g *getting) summary(items []*item, took time.Duration) summaryEvent {
	e := summaryEvent{V: 1, Type: "summary", Files: len(items), Seconds: seconds(took), Verified: true, Code: exitDone.String()}
	for _, it := range items {
		e.Bytes += it.got.Size
		if it.tree {
			e.Files += it.done - 1
		}
		e.Verified = e.Verified && it.named == ""
	}
	if g.alone {
		e.Job, e.ID, e.Path = items[0].job, items[0].link.ID.String(), items[0].got.Path
		if g.toStdout {
			e.Path = "-"
		}
	}
	return e
}

// numbered is the n-th choice for a name: a.iso, a (1).iso, a (2).iso.
func numbered(path string, n int) string {
	if n == 0 {
		return path
	}
	dir, name := filepath.Split(path)
	ext := filepath.Ext(name)
	if ext == name { // .profile has no extension
		ext = ""
	}
	return dir + fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), n, ext)
}

// resumeLine tells how an interrupted get is continued: the command as it was given.
func resumeLine(args []string, toStdout bool) string {
	if toStdout {
		return "nothing is kept of what goes to standard output"
	}
	line := "go on with: sharer"
	list := false
	for _, a := range args {
		line += " " + escape(quoteShell(a))
		list = list || a == "-"
	}
	if list {
		line += " (and the same list)"
	}
	return line
}

// shownPath is a path as a result: exactly, but for a terminal.
func shownPath(s *stdio, path string) string {
	if s.outTTY {
		return escape(path)
	}
	return path
}
