package main

import (
	"context"
	"slices"

	"sharer/limit"
	"sharer/mirror"
)

// ruleFlags are those that mirror set takes.
var ruleFlags = []string{
	"quota", "max-file", "min-free", "max-delete", "share", "include", "exclude", "copies", "keep", "grace", "every", "on-full", "bwlimit",
}

// addFlags are those that say what a mirror is when it is made.
var addFlags = []string{
	"name", "group", "http-source", "hook-update", "hook-hold", "hook-full", "hook-scrub-error", "hook-timeout",
}

// verbFlags are the flags that only some of what mirror can do takes. That set takes none of addFlags it says itself.
var verbFlags = map[string][]string{
	"add": slices.Concat(ruleFlags, addFlags), "set": slices.Concat(ruleFlags, addFlags), "join": slices.Concat(ruleFlags, addFlags, []string{"yes"}),
	"sync": {"dry-run"}, "rm": {"delete-data"}, "status": {"fewer"}, "log": {"lines"}, "export": {"hooks"}, "import": {"hooks"},
}

// checkFlags refuses flags that would do nothing: who says rm --dry-run wants nothing removed.
func (o *mirrorOptions) checkFlags(verb string) error {
	for _, flags := range verbFlags {
		for _, flag := range flags {
			if o.given(flag) && !slices.Contains(verbFlags[verb], flag) {
				return usagef("mirror %s takes no --%s; see sharer help mirror", verb, flag)
			}
		}
	}
	return nil
}

// rules are others with what the flags that are named say in their place.
func (o *mirrorOptions) rules(r mirror.Rules, named func(flag string) bool) (mirror.Rules, error) {
	var err error
	size := func(flag, text string, into *int64) {
		if !named(flag) || err != nil {
			return
		}
		if *into, err = parseSize(text); err != nil {
			err = usagef("--%s %q: %v", flag, text, err)
		}
	}
	portion := func(flag, text string, into *mirror.Portion) {
		if !named(flag) || err != nil {
			return
		}
		if *into, err = mirror.ParsePortion(text, parseSize); err != nil {
			err = usagef("--%s %q: %v", flag, text, err)
		}
	}
	size("quota", o.quota, &r.Quota)
	size("max-file", o.maxFile, &r.MaxFile)
	portion("min-free", o.minFree, &r.MinFree)
	portion("max-delete", o.maxDelete, &r.MaxDelete)
	portion("share", o.share, &r.Share)
	if err != nil {
		return r, err
	}
	if named("bwlimit") {
		rates, err := limit.ParseRates(o.bwlimit)
		switch {
		case err != nil:
			return r, usagef("--bwlimit %v", err)
		case rates.Up != rates.Down:
			return r, usagef("--bwlimit %q: a mirror limits what it fetches, so one rate; what is sent the daemon limits", o.bwlimit)
		case rates.Down < 0:
			return r, usagef("--bwlimit %q: sharer mirror pause has it fetch nothing", o.bwlimit)
		}
		r.Down = rates.Down
	}
	patterns := func(flag string, globs []string, into *[]string) {
		if named(flag) {
			*into = slices.DeleteFunc(globs, func(p string) bool { return p == "" })
		}
	}
	patterns("include", o.include, &r.Include)
	patterns("exclude", o.exclude, &r.Exclude)
	if named("copies") {
		r.Copies = o.copies
	}
	if named("keep") {
		r.Keep = o.keep
	}
	if named("grace") {
		r.Grace = o.grace
	}
	if named("every") {
		r.Every = o.every
	}
	if named("on-full") {
		r.OnFull = mirror.OnFull(o.onFull)
	}
	if err := r.Check(); err != nil {
		return r, usagef("mirror: %v", err)
	}
	return r, nil
}

// spec is what the flags and the settings say of a new mirror.
func (o *mirrorOptions) spec() (mirror.Spec, error) {
	r, err := o.rules(mirror.DefaultRules(), o.set)
	return mirror.Spec{Name: o.name, Rules: r, Hooks: o.hooks, HTTP: o.http, Group: o.group}, err
}

// checkSet refuses what set cannot do, before a daemon is looked for. What the rules are together is seen when the others are known.
func (o *mirrorOptions) checkSet() error {
	for _, flag := range addFlags {
		if o.given(flag) {
			return usagef("mirror set changes rules, and --%s is none; remove the mirror and add it anew", flag)
		}
	}
	if !slices.ContainsFunc(ruleFlags, o.given) {
		return usagef("mirror set takes the rules to change as flags, such as --quota 300G")
	}
	_, err := o.rules(mirror.DefaultRules(), o.given)
	return err
}

// set changes the rules of a mirror. Of a share and a number of copies the one that is given takes the other's place.
func (m *mirroring) set(ctx context.Context, name string) error {
	rows, err := m.rows(ctx, name)
	if err != nil {
		return err
	}
	r := rows[0].Look.Spec.Rules
	switch {
	case m.o.given("share") && !m.o.given("copies"):
		r.Copies = 0
	case m.o.given("copies") && !m.o.given("share"):
		r.Share = mirror.Portion{}
	}
	if r, err = m.o.rules(r, m.o.given); err != nil {
		return err
	}
	return m.c.SetMirrorRules(ctx, name, r)
}
