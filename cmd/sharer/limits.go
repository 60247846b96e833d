package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sharer/control"
	"sharer/limit"
)

// limitsDocument is the answer to limit --json.
type limitsDocument struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "limits"
	control.Limits
}

func newLimit() *command {
	c := newCommand("limit", "[UP:DOWN | TIMETABLE | off | default]", "show or change the daemon's limits")
	c.long = `Show the daemon's limits, or change them at once and for later starts. They are bytes a second on the
wire, of all peers together: 2M:512K is 2 MiB/s up and 512 KiB/s down, one rate is for both, off is no limit, 0 lets
nothing pass but what keeps the node in the swarm. A timetable says what holds from when on, each day or on one:
"08:00,512K 18:00,10M:2M 23:00,off", "Mon-08:00,1M Sat-00:00,off". default goes back to --bwlimit.`
	c.examples = "sharer limit\nsharer limit 2M:512K\nsharer limit '08:00,512K 18:00,off'\nsharer limit off"
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runLimit(ctx, c.options, args, s) }
	return c
}

func runLimit(ctx context.Context, o *options, args []string, s *stdio) error {
	text := strings.Join(args, " ")
	if len(args) > 0 && text != "default" {
		if _, err := limit.Parse(text); err != nil {
			return usagef("limit %q: %v", shorten(text, 80), err)
		}
	}
	c, err := o.mustReach(ctx, s)
	if err != nil {
		return err
	}
	defer c.Close()
	var l control.Limits
	if len(args) == 0 {
		l, err = c.Limits(ctx)
	} else {
		l, err = c.SetLimits(ctx, text)
	}
	switch {
	case errors.Is(err, control.ErrBad):
		return usagef("%v", err)
	case err != nil:
		return err
	case o.json:
		writeEvent(s.out, limitsDocument{1, "limits", l})
	default:
		fmt.Fprintln(s.out, limitsLine(l))
	}
	return nil
}

// limitsLine is the limits as people say them.
func limitsLine(l control.Limits) string {
	side := func(n int64) string {
		switch {
		case n == 0:
			return "no limit"
		case n < 0:
			return "nothing"
		}
		return formatSize(n) + "/s"
	}
	line := fmt.Sprintf("up %s, down %s", side(l.Now.Up), side(l.Now.Down))
	if !l.Next.IsZero() {
		line += fmt.Sprintf("; from %s on up %s, down %s", l.Next.Local().Format("Mon 15:04"), side(l.Then.Up), side(l.Then.Down))
	}
	if c := l.Cap; c != nil {
		line += fmt.Sprintf("; in %s up %s, down %s", c.Spent.Month, used(c.Spent.Up, c.Cap.Up), used(c.Spent.Down, c.Cap.Down))
	}
	return line
}

// used is how much of a month's cap is used.
func used(spent, most int64) string {
	switch {
	case most == 0:
		return formatSize(spent)
	case spent >= most:
		return fmt.Sprintf("%s of %s: used up", formatSize(spent), formatSize(most))
	}
	return fmt.Sprintf("%s of %s", formatSize(spent), formatSize(most))
}

// statusDocument is the answer to status --json.
type statusDocument struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "daemon"
	control.Status
}

func newStatus() *command {
	c := newCommand("status", "", "tell how the daemon is")
	c.long = "Tell whether a daemon is running, what it does, and what it takes."
	c.examples = "sharer status\nsharer status --json | jq .peers"
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runStatus(ctx, c.options, args, s) }
	return c
}

func runStatus(ctx context.Context, o *options, args []string, s *stdio) error {
	if len(args) > 0 {
		return usagef("status takes no arguments")
	}
	c, err := o.mustReach(ctx, s)
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if o.json {
		writeEvent(s.out, statusDocument{1, "daemon", st})
		return nil
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(s.out, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	a := st.About
	row("running", "sharer %s, %s, pid %d, for %s", a.Release, serving(a), a.PID, shortDuration(time.Duration(st.Uptime)*time.Second))
	row("state", "%s, %s free", escape(string(a.State)), formatSize(st.Free))
	var listen []string
	for _, l := range a.Listen {
		listen = append(listen, l.String())
	}
	row("listens", "%s", strings.Join(listen, " "))
	row("peers", "%d, and %d that have not answered yet", st.Proven, st.Peers-st.Proven)
	row("seeds", "%d with %s, %s", st.Seeds, count(st.Files, "file"), formatSize(st.Bytes))
	if st.Hashing > 0 {
		row("hashing", "%s", count(st.Hashing, "seed"))
	}
	row("gets", "%d running, %d waiting for room on the disk", st.Jobs, st.Waiting)
	row("traffic", "%s out, %s in; %s of content sent", formatSize(int64(st.Out)), formatSize(int64(st.In)), formatSize(st.Sent))
	row("limits", "%s", limitsLine(st.Limits))
	row("memory", "%s, %d goroutines", formatSize(int64(st.Memory)), st.Routines)
	for _, n := range a.Notes {
		row("note", "%s", escape(n))
	}
	return nil
}

// logEvent is a line of log --json.
type logEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "log"
	control.LogLine
}

func newLog() *command {
	c := newCommand("log", "[-f]", "show the daemon's log")
	c.long = "Show the last lines of the daemon's log, and with -f those that come, until Ctrl-C."
	c.examples = "sharer log\nsharer log -f"
	var follow bool
	last := 100
	c.flags.BoolVarP(&follow, "follow", "f", false, "show new lines as they come")
	c.flags.IntVarP(&last, "lines", "n", last, "show at most `N` lines of the past")
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		if len(args) > 0 {
			return usagef("log takes no arguments")
		}
		if last < 0 {
			return usagef("--lines %d: want 0 or more", last)
		}
		client, err := c.options.mustReach(ctx, s)
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, enough := context.WithCancel(ctx)
		defer enough()
		err = client.Log(ctx, last, follow, func(l control.LogLine) {
			if c.options.json {
				writeEvent(s.out, logEvent{1, "log", l})
			} else {
				fmt.Fprintf(s.out, "%s %-5s %s\n", l.Time.Local().Format(time.DateTime), l.Level, escape(l.Text))
			}
			if s.broken() {
				enough() // nobody reads it
			}
		})
		if follow && ctx.Err() != nil {
			return nil // that is its end
		}
		return err
	}
	return c
}
