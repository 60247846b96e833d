package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"sharer/control"
	"sharer/identity"
	"sharer/link"
	"sharer/mirror"
)

// mirrorOptions are the flags of mirror.
type mirrorOptions struct {
	*options
	name                      string
	quota, maxFile            string
	minFree, maxDelete, share string
	bwlimit                   string
	every, grace              time.Duration
	keep, copies, last, fewer int
	include, exclude, http    []string
	group                     []string
	onFull                    string
	hooks                     mirror.Hooks
	dry, yes, deleteData      bool
	withHooks                 bool
	given, set                func(flag string) bool // on the command line; there or in the settings
}

// mirrorVerbs are what mirror can do, with what follows each.
var mirrorVerbs = []struct {
	name     string
	min, max int
}{
	{"add", 1, 2}, {"set", 1, 1}, {"ls", 0, 0}, {"status", 0, 1}, {"sync", 0, 1}, {"pause", 1, 1}, {"resume", 1, 1}, {"approve", 1, 1}, {"rm", 1, 1}, {"log", 1, 1}, {"join", 1, 1}, {"export", 0, 0}, {"import", 1, 1},
}

func newMirror() *command {
	c := newCommand("mirror", "add LINK [DIR] | set NAME | ls | status [NAME] | sync [NAME] | pause|resume|approve|rm|log NAME | join LINK | export | import FILE", "carry copies of folders that others publish")
	c.long = `Keep a copy of a folder that somebody publishes, follow its new versions, and give it to others.
The daemon does it; it has to run.

add follows a publisher's name (lcdp://KEY/NAME), or keeps a folder that does not change
(lcdp://folder/ID). Its tree is DIR/current, which becomes the next version at one stroke.
A version that takes away more than --max-delete of the files, goes back to an earlier one, or
does not fit --quota or the disk is held: approve lets the first two through. Two versions that a
publisher signed under one number freeze the mirror until it is approved.

set changes the rules of a mirror: those whose flags are given, such as --quota 300G; '' takes a list
of patterns away. What is carried follows.

join shows what a publisher wants to have carried, and adds that if you agree.
sync looks for a new version now; with --dry-run it says what that would change.
status tells how many copies of the files there are, by what other mirrors sign and peers say.
export writes what all mirrors are told as one file of JSON, without secrets; import adds the mirrors of such a file
(- is standard input), and gives those that are there its rules.
rm ends a mirror and leaves its tree unless --delete-data is given.`
	c.examples = `sharer mirror add lcdp://3f2a.../isos ~/isos --quota 200G
sharer mirror add lcdp://3f2a.../music --share 30% --exclude '*.wav'
sharer mirror set isos --quota 300G --bwlimit 2M
sharer mirror sync isos --dry-run
sharer mirror join lcdp://3f2a.../mirrors.json`
	d := mirror.DefaultRules()
	o := &mirrorOptions{options: c.options}
	f := c.flags
	o.given, o.set = c.given, f.Changed
	c.own = []string{"bwlimit", "group", "name"} // elsewhere they are for both directions and for all, of people, and of a pin
	f.StringVar(&o.name, "name", "", "`NAME` of the mirror here (default: from the link)")
	f.StringVar(&o.quota, "quota", "", "`SIZE` that it may take, such as 200G (default: as much as there is)")
	f.StringVar(&o.minFree, "min-free", d.MinFree.String(), "`SIZE` or percentage of the disk that stays free")
	f.StringVar(&o.onFull, "on-full", string(d.OnFull), "what does not fit: hold, newest or pinned-first `WAY`")
	f.StringArrayVar(&o.include, "include", nil, "carry only files that fit `GLOB`, repeatable")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out files that fit `GLOB`, repeatable")
	f.StringVar(&o.maxFile, "max-file", "", "leave out files longer than `SIZE`")
	f.StringVar(&o.share, "share", "", "carry `PERCENT` of the files, which ones by key")
	f.IntVar(&o.copies, "copies", 0, "carry what is needed for `N` copies among the mirrors of --group")
	f.StringArrayVar(&o.group, "group", nil, "`KEY` of a mirror that shares the load, repeatable")
	f.StringVar(&o.maxDelete, "max-delete", d.MaxDelete.String(), "`N` or percentage of the files that one version may take away")
	f.DurationVar(&o.every, "every", d.Every, "`TIME` between two looks")
	f.StringVar(&o.bwlimit, "bwlimit", "off", "fetch at most `RATE`, bytes a second such as 2M; the daemon's limits hold besides")
	f.IntVar(&o.keep, "keep", d.Keep, "`N` versions to keep")
	f.DurationVar(&o.grace, "grace", d.Grace, "`TIME` that an earlier version stays in any case")
	f.StringArrayVar(&o.http, "http-source", nil, "`URL` of a plain copy, for what peers give slowly or not at all; verified all the same; repeatable")
	f.StringVar(&o.hooks.Update, "hook-update", "", "`COMMAND` to run after a new version")
	f.StringVar(&o.hooks.Hold, "hook-hold", "", "`COMMAND` to run when a version is held")
	f.StringVar(&o.hooks.Full, "hook-full", "", "`COMMAND` to run when there is no room")
	f.StringVar(&o.hooks.Scrub, "hook-scrub-error", "", "`COMMAND` to run when damage was found")
	f.DurationVar(&o.hooks.Limit, "hook-timeout", time.Minute, "`TIME` that such a command may take")
	f.BoolVar(&o.dry, "dry-run", false, "sync: change nothing, say what would change")
	f.BoolVar(&o.yes, "yes", false, "join: agree")
	f.BoolVar(&o.withHooks, "hooks", false, "export, import: commands too; they may hold secrets, and run here")
	f.BoolVar(&o.deleteData, "delete-data", false, "rm: remove the tree too")
	f.IntVar(&o.fewer, "fewer", 0, "status: name the files with fewer than `N` copies (default: --copies, 2 at least)")
	f.IntVarP(&o.last, "lines", "n", 20, "log: the last `N` lines")
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runMirror(ctx, o, args, s) }
	return c
}

func runMirror(ctx context.Context, o *mirrorOptions, args []string, s *stdio) error {
	if len(args) == 0 {
		args = []string{"ls"}
	}
	verb, args := args[0], args[1:]
	var names []string
	at := -1
	for i, v := range mirrorVerbs {
		names = append(names, v.name)
		if v.name == verb {
			at = i
		}
	}
	if at < 0 {
		hint := "; want " + listed(names, "or")
		if meant := nearest(verb, names); meant != "" {
			hint = fmt.Sprintf("; did you mean %s?", meant)
		}
		return usagef("mirror cannot %q%s", shorten(verb, 40), hint)
	}
	if v := mirrorVerbs[at]; len(args) < v.min || len(args) > v.max {
		return usagef("mirror %s takes %s, not %d; see sharer help mirror", verb, wanted(v.min, v.max), len(args))
	}
	if err := o.checkFlags(verb); err != nil {
		return err
	}
	spec := mirror.Spec{}
	if verb == "add" || verb == "join" {
		var err error
		if spec, err = o.spec(); err != nil {
			return err
		}
	}
	if verb == "set" {
		if err := o.checkSet(); err != nil {
			return err
		}
	}
	var file mirrorFile
	if verb == "import" {
		var err error
		if file, err = readMirrorFile(args[0], s.in); err != nil {
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
	m := &mirroring{o: o, scr: scr, c: c}
	if verb == "import" {
		return m.imports(ctx, file)
	}
	return explainMirror(m.do(ctx, verb, spec, args), strings.Join(args[:min(len(args), 1)], ""))
}

// explainMirror gives an error about a mirror its exit code, and says what helps.
func explainMirror(err error, name string) error {
	var coded *codedError
	name = escape(shorten(name, 80))
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, control.ErrUnknown):
		return noMirror(name)
	case errors.Is(err, control.ErrBad):
		return usagef("mirror: %s", strings.TrimPrefix(err.Error(), control.ErrBad.Error()+": "))
	case errors.Is(err, mirror.ErrFull):
		return &codedError{exitFull, fmt.Errorf("%w. What is there stays; change its rule (sharer mirror set %s with --quota SIZE or --min-free SIZE), or make room", err, name)}
	case errors.Is(err, mirror.ErrFrozen):
		return &codedError{exitIntegrity, fmt.Errorf("%w. sharer mirror log %s has the signatures; sharer mirror approve %s goes on with what came first", err, name, name)}
	case errors.Is(err, mirror.ErrHeld):
		return &codedError{exitFailed, fmt.Errorf("%w. sharer mirror sync %s --dry-run shows it, sharer mirror approve %s takes it", err, name, name)}
	case errors.Is(err, mirror.ErrExists):
		return &codedError{exitExists, fmt.Errorf("%w. Give this one another: --name NAME", err)}
	case exitOf(context.Background(), err) == exitNotFound:
		return &codedError{exitNotFound, fmt.Errorf("%w. Name a peer that has it: sharer peers add HOST:PORT", err)}
	}
	return err
}

// noMirror is the error for a name that no mirror has.
func noMirror(name string) error {
	return &codedError{exitNotFound, fmt.Errorf("no such mirror: %s. sharer mirror ls lists them", name)}
}

func (m *mirroring) do(ctx context.Context, verb string, spec mirror.Spec, args []string) error {
	switch verb {
	case "add":
		return m.add(ctx, spec, args)
	case "join":
		return m.join(ctx, spec, args[0])
	case "set":
		return m.set(ctx, args[0])
	case "ls":
		return m.list(ctx)
	case "status":
		return m.status(ctx, args)
	case "export":
		return m.export(ctx)
	case "sync":
		return m.sync(ctx, args)
	case "log":
		return m.log(ctx, args[0])
	case "rm":
		return m.c.RemoveMirror(ctx, args[0], m.o.deleteData)
	}
	return m.c.TellMirror(ctx, args[0], verb)
}

func wanted(least, most int) string {
	switch {
	case least == most:
		return count(most, "argument")
	case least == 0:
		return fmt.Sprintf("at most %s", count(most, "argument"))
	}
	return fmt.Sprintf("%d to %s", least, count(most, "argument"))
}

// reachDaemon finds the daemon; without one there is an error that says how to start it.
func (o *options) reachDaemon(ctx context.Context, s *stdio) (*control.Client, error) {
	need := *o
	if need.daemon == "" || need.daemon == "auto" {
		need.daemon = "require"
	}
	c, err := need.reach(ctx, s)
	if err == nil && c == nil {
		err = &codedError{exitDaemon, errors.New("a daemon is needed, and --daemon never asks none. Leave the flag out")}
	}
	return c, err
}

// mirroring is one run of mirror.
type mirroring struct {
	o   *mirrorOptions
	scr *screen
	c   *control.Client
}

// follow sets what a mirror of a link follows.
func follow(spec *mirror.Spec, text string) error {
	l, err := link.Parse(text)
	if err != nil {
		return usagef("%v", err)
	}
	name := l.Name
	switch {
	case l.Published != "":
		spec.Key, spec.Path, name = identity.PublicKey(l.Publisher), l.Published, l.Published
	case l.Folder && l.Path == "":
		spec.ID = l.ID.Hash
	default:
		return usagef("a mirror carries a folder: lcdp://KEY/NAME or lcdp://folder/ID")
	}
	if spec.Name == "" {
		spec.Name = mirror.NameFor(name)
	}
	return nil
}

func (m *mirroring) add(ctx context.Context, spec mirror.Spec, args []string) error {
	if err := follow(&spec, args[0]); err != nil {
		return err
	}
	if len(args) > 1 {
		dir, err := filepath.Abs(args[1])
		if err != nil {
			return err
		}
		spec.Dir = dir
	}
	look, err := m.c.AddMirror(ctx, spec)
	if err != nil {
		return err
	}
	m.scr.note("mirroring %s as %s; sharer mirror ls shows how far it is", look.Link, look.Spec.Name)
	m.added(look)
	return nil
}

// added is a mirror that was made.
func (m *mirroring) added(look mirror.Look) {
	if m.o.json {
		m.scr.event(mirrorDocument{V: 1, Type: "mirrors", Mirrors: []mirrorRow{rowOf(look, time.Now())}})
		return
	}
	m.scr.result(whereOf(look))
}

// whereOf is where people find what is mirrored: a folder, or, where there is none, the link.
func whereOf(l mirror.Look) string {
	if l.Remote {
		return l.Link
	}
	return filepath.Join(l.Spec.Dir, "current")
}

func (m *mirroring) sync(ctx context.Context, args []string) error {
	names := args
	if len(names) == 0 {
		rows, err := m.rows(ctx, "")
		if err != nil {
			return err
		}
		for _, r := range rows {
			names = append(names, r.Name)
		}
	}
	var failed []exit
	for _, name := range names {
		r, err := m.c.SyncMirror(ctx, name, m.o.dry)
		if err == nil {
			m.tell(name, r)
			continue
		}
		if err = explainMirror(err, name); len(names) == 1 {
			return err // it is told as the command's own
		}
		failed = append(failed, exitOf(ctx, err))
		m.scr.warn(warningEvent{Message: name + ": " + err.Error()})
	}
	if len(failed) > 0 {
		return &codedError{together(failed, len(names)), errors.New("some mirrors could not be synced")}
	}
	return nil
}

func (m *mirroring) tell(name string, r mirror.Report) {
	if m.o.json {
		m.scr.event(struct {
			V      int           `json:"v"`
			Type   string        `json:"type"` // "sync"
			Name   string        `json:"name"`
			Report mirror.Report `json:"report"`
		}{1, "sync", name, r})
		return
	}
	switch {
	case r.Paused && !m.o.dry:
		m.scr.result(name + ": paused")
	case r.Plan == nil:
		m.scr.result(name + ": up to date")
	case m.o.dry:
		m.scr.result(name + ": would become version " + fmt.Sprint(r.Head.Seq) + ": " + escape(r.Plan.String()))
	case r.Changed:
		m.scr.result(name + ": version " + fmt.Sprint(r.Head.Seq) + ": " + escape(r.Plan.String()))
	default:
		m.scr.result(name + ": " + escape(r.Plan.String()))
	}
}

// mirrorEvent is a line of mirror log --json.
type mirrorEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "event"
	mirror.Event
}

func (m *mirroring) log(ctx context.Context, name string) error {
	events, err := m.c.MirrorLog(ctx, name, m.o.last)
	if err != nil {
		return err
	}
	for _, e := range events {
		if m.o.json {
			m.scr.event(mirrorEvent{1, "event", e})
			continue
		}
		m.scr.result(fmt.Sprintf("%s  %-8s %s", e.Time.Local().Format(time.DateTime), e.What, escape(shorten(e.Text, 2000))))
	}
	return nil
}
