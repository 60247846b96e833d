package main

import (
	"log/slog"
	"strings"

	"sharer/node"
)

// reloader is what a node can be told of settings that have changed; a daemon is one.
type reloader interface{ StartLimits(l node.Limits) }

// level is how much the node's log says: errors with -q, warnings by default, more with -v.
func (o *options) level() slog.Level {
	switch {
	case o.quiet:
		return slog.LevelError
	case o.verbose == 1:
		return slog.LevelInfo
	case o.verbose > 1:
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// live are the settings that a daemon takes while it runs.
var live = []string{"bwlimit", "bwlimit-peer", "verbose", "quiet"}

// listed is: a, b and c, or with another word before the last.
func listed(words []string, before string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + before + " " + words[last]
}

// reload reads the file of settings again, with the flags and the environment as they were at the start. What is wrong with the file
// is a warning, and then nothing changes.
func (o *options) reload(p peer, scr *screen) {
	c, flags, err := findCommand(commands(), scr.s.args)
	if err == nil {
		err = c.parse(flags, scr.s.getenv)
	}
	if err != nil {
		scr.warn(warningEvent{Code: exitUsage.String(), Message: escape(err.Error()) + "; the settings stay as they were"})
		return
	}
	fresh := c.options
	scr.speak(fresh)
	if o.logLevel != nil {
		o.logLevel.Set(fresh.level())
	}
	if r, ok := p.(reloader); ok {
		r.StartLimits(node.Limits{Up: fresh.bwlimit.up, Down: fresh.bwlimit.down, UpPerPeer: fresh.bwlimitPeer.up, DownPerPeer: fresh.bwlimitPeer.down})
	}
	scr.note("settings read again: %s count from now on, others from the next start", listed(live, "and"))
	fresh.noteLimits(p, scr)
}
