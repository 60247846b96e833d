package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"sharer/mirror"
)

// mirrorDocument is the answer of mirror ls and status; the table is made from it too.
type mirrorDocument struct {
	V       int         `json:"v"`
	Type    string      `json:"type"` // "mirrors"
	Mirrors []mirrorRow `json:"mirrors"`
}

type mirrorRow struct {
	Name  string      `json:"name"`
	State string      `json:"state"`
	Seq   int64       `json:"seq"`    // of what is here
	Seen  int64       `json:"latest"` // of what the publisher has
	Lag   float64     `json:"lag_s"`
	Bytes int64       `json:"bytes"`
	Files int         `json:"files"`
	Why   string      `json:"why,omitempty"`
	Look  mirror.Look `json:"mirror"`

	Copies *mirror.Copies `json:"copies,omitempty"` // status only
}

func rowOf(l mirror.Look, now time.Time) mirrorRow {
	row := mirrorRow{
		Name: l.Spec.Name, State: string(l.Doing), Seq: l.Current.Seq, Seen: l.State.Latest().Seq, Lag: seconds(l.Lag(now)), Bytes: l.Trace.Bytes, Files: l.Trace.Files,
		Why: l.State.Why, Look: l,
	}
	switch {
	case l.State.Held != "" && l.State.Why != "":
		row.Why = string(l.State.Held) + ": " + l.State.Why
	case l.Failed != "":
		row.Why = l.Failed
	case l.Hook != "":
		row.Why = l.Hook
	}
	return row
}

func (m *mirroring) rows(ctx context.Context, only string) ([]mirrorRow, error) {
	looks, err := m.c.Mirrors(ctx)
	if err != nil {
		return nil, err
	}
	rows := []mirrorRow{}
	for _, l := range looks {
		if only == "" || l.Spec.Name == only {
			rows = append(rows, rowOf(l, time.Now()))
		}
	}
	if only != "" && len(rows) == 0 {
		return nil, noMirror(escape(shorten(only, 80)))
	}
	return rows, nil
}

func (m *mirroring) list(ctx context.Context) error {
	rows, err := m.rows(ctx, "")
	if err != nil {
		return err
	}
	if m.o.json {
		m.scr.event(mirrorDocument{V: 1, Type: "mirrors", Mirrors: rows})
		return nil
	}
	if len(rows) == 0 {
		m.scr.note("no mirrors; sharer mirror add LINK makes one")
		return nil
	}
	w := tabwriter.NewWriter(m.scr.s.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "NAME\tSTATE\tSEQ\tLAG\tHAVE\tQUOTA\tNEXT\t\n")
	for _, r := range rows {
		l := r.Look
		quota, next, lag := "-", "-", "-"
		if l.Spec.Rules.Quota > 0 {
			quota = formatSize(l.Spec.Rules.Quota)
		}
		if !l.Next.IsZero() {
			next = shortDuration(max(time.Until(l.Next), 0))
		}
		if r.Lag > 0 {
			lag = shortDuration(time.Duration(r.Lag * float64(time.Second)))
		}
		state := r.State
		if l.Doing == mirror.Fetching && l.Total > 0 {
			state += fmt.Sprintf(" %d%%", 100*l.Done/l.Total)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Name, state, r.Seq, lag, formatSize(r.Bytes), quota, next, escape(shorten(r.Why, 120)))
	}
	return w.Flush()
}

func (m *mirroring) status(ctx context.Context, args []string) error {
	only := ""
	if len(args) > 0 {
		only = args[0]
	}
	rows, err := m.rows(ctx, only)
	if err != nil {
		return err
	}
	for i := range rows {
		c, err := m.c.MirrorCopies(ctx, rows[i].Name, m.o.fewer)
		if err != nil {
			return fmt.Errorf("the copies of %s: %w", rows[i].Name, err)
		}
		rows[i].Copies = &c
	}
	if m.o.json {
		m.scr.event(mirrorDocument{V: 1, Type: "mirrors", Mirrors: rows})
		return nil
	}
	for _, r := range rows {
		writeStatus(m.scr.s.out, r, m.o.given("fewer"))
	}
	return nil
}

func writeStatus(w io.Writer, r mirrorRow, names bool) {
	l := r.Look
	line := func(key, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", key, escape(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(w, "%s\n", r.Name)
	line("follows", "%s", l.Link)
	line("state", "%s", r.State)
	if r.Why != "" {
		line("because", "%s", r.Why)
	}
	line("tree", "%s", whereOf(l))
	line("version", "%d here, %d published", r.Seq, r.Seen)
	if !l.Trace.Complete.IsZero() {
		line("complete", "%s, %s, %s (%s fetched for it)", l.Trace.Complete.Local().Format(time.DateTime), count(r.Files, "file"), formatSize(r.Bytes), formatSize(l.Trace.Fetched))
	}
	if c := r.Copies; c.Looked > 0 {
		line("copies", "%s", c)
		line("", "files by copies: %s", c.Spread())
		if c.Scarce > 0 {
			line("", "%s with fewer than %d", count(c.Scarce, "file"), c.Fewer)
		}
		for i := 0; names && i < len(c.Paths); i++ {
			line("", "  %d  %s", c.Paths[i].Copies, c.Paths[i].Path)
		}
	}
	if l.State.Stale > 0 {
		line("stale", "%s were told an earlier version by peers; ignored", count(int(l.State.Stale), "time"))
	}
	if s := l.Scrub; !s.Ended.IsZero() || s.Damaged > 0 {
		line("scrub", "last whole round %s; %d damaged, %d healed", s.Ended.Local().Format(time.DateTime), s.Damaged, s.Healed)
	}
}
