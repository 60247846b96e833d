package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"sharer/control"
)

const (
	logLines = 1000 // that are kept
	logQueue = 256  // lines that wait for one who follows; he misses what comes beyond
)

// logs keeps the last lines of the log in memory, and shows new ones to those who follow.
type logs struct {
	mu        sync.Mutex
	lines     []control.LogLine
	followers []chan control.LogLine
}

func (l *logs) add(line control.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= logLines {
		l.lines = slices.Delete(l.lines, 0, 1)
	}
	l.lines = append(l.lines, line)
	for _, f := range l.followers {
		select {
		case f <- line:
		default:
		}
	}
}

// follow returns the last lines, and a channel of those to come until stop.
func (l *logs) follow(last int) (past []control.LogLine, next chan control.LogLine, stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = make(chan control.LogLine, logQueue)
	l.followers = append(l.followers, next)
	return slices.Clone(l.lines[max(len(l.lines)-max(last, 0), 0):]), next, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.followers = slices.DeleteFunc(l.followers, func(c chan control.LogLine) bool { return c == next })
	}
}

// Log shows the last lines, and with follow those that come until ctx ends.
func (d *Daemon) Log(ctx context.Context, last int, follow bool, show func(control.LogLine)) error {
	past, next, stop := d.logs.follow(last)
	defer stop()
	for _, line := range past {
		show(line)
	}
	for follow {
		select {
		case line := <-next:
			show(line)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// logHandler keeps what is worth knowing, whatever the next handler shows.
type logHandler struct {
	logs  *logs
	next  slog.Handler
	attrs string
}

var _ slog.Handler = (*logHandler)(nil)

// Enabled is true of what either wants.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

// Handle keeps a line.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		var b strings.Builder
		b.WriteString(r.Message + h.attrs)
		r.Attrs(func(a slog.Attr) bool {
			b.WriteString(attr(a))
			return true
		})
		h.logs.add(control.LogLine{Time: r.Time, Level: strings.ToLower(r.Level.String()), Text: b.String()})
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func attr(a slog.Attr) string { return fmt.Sprintf(" %s=%v", a.Key, a.Value) }

// WithAttrs is that of the interface.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		more.attrs += attr(a)
	}
	return &more
}

// WithGroup is that of the interface; names of groups are not kept.
func (h *logHandler) WithGroup(name string) slog.Handler {
	more := *h
	more.next = h.next.WithGroup(name)
	return &more
}
