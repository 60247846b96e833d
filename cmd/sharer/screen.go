package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sharer/internal/portmap"
)

// defaultLineInterval is the time between plain lines of progress (cli.md section 1.3).
const defaultLineInterval = time.Minute

// screen is where a command prints. It keeps results, progress and notes from
// tearing each other, and knows what -q, -v and --json leave out. It is safe for
// concurrent use.
type screen struct {
	opts  *options
	s     *stdio
	board *board
	meter meter

	linksAside bool // links of contents are no result: a name's is

	loud atomic.Int32 // what -q and -v say, and may say otherwise after a SIGHUP: below 0 quiet, above 0 verbose

	mu   sync.Mutex // one line at a time, on whichever stream
	over bool       // the summary is out
}

// newScreen starts showing progress as the flags say; close ends it.
func newScreen(o *options, s *stdio) *screen {
	scr := &screen{opts: o, s: s, board: &board{}}
	scr.speak(o)
	kind := o.progress
	if kind == "" || kind == "auto" {
		kind = "line"
		if s.errTTY && s.getenv("TERM") != "dumb" {
			kind = "bar"
		}
	}
	every := defaultLineInterval
	if o.intervalSet {
		every = o.interval
	}
	switch {
	case o.quiet || kind == "none" || o.interval == 0: // 0: the verb has no progress to show
		scr.meter = noMeter{}
	case o.json:
		scr.meter = newTicking(scr.board, o.interval, s.tell, func(views []view) {
			for _, v := range views {
				scr.event(v.event())
			}
		})
	case kind == "bar":
		scr.meter = newBars(scr.board, s.err, s.errTTY, s.tell)
	default:
		scr.meter = newTicking(scr.board, every, s.tell, func(views []view) {
			for _, v := range views {
				scr.put(v.line(0))
			}
		})
	}
	return scr
}

// speak takes -q and -v from some options.
func (scr *screen) speak(o *options) {
	if o.quiet {
		scr.loud.Store(-1)
		return
	}
	scr.loud.Store(int32(o.verbose))
}

func (scr *screen) quiet() bool { return scr.loud.Load() < 0 }

func (scr *screen) verbose() bool { return scr.loud.Load() > 0 }

// close stops the progress, with everything it has started.
func (scr *screen) close() { scr.meter.close() }

// result prints one line of the result.
func (scr *screen) result(line string) {
	scr.mu.Lock()
	defer scr.mu.Unlock()
	// On a terminal that also shows bars, the line has to go above them.
	if scr.s.outTTY && scr.s.errTTY && scr.meter.above(line+"\n") {
		return
	}
	io.WriteString(scr.s.out, line+"\n")
}

// link prints the link of a content.
func (scr *screen) link(line string) {
	if scr.linksAside {
		scr.detail("%s", line)
		return
	}
	scr.result(line)
}

// broken says whether stdout is.
func (scr *screen) broken() bool {
	scr.mu.Lock()
	defer scr.mu.Unlock()
	return scr.s.broken()
}

// event prints one JSON event. A summary is the last: what the node tells while it closes is left out.
func (scr *screen) event(e any) {
	scr.mu.Lock()
	defer scr.mu.Unlock()
	if scr.over {
		return
	}
	switch e.(type) {
	case summaryEvent, endEvent, pingSummary:
		scr.over = true
	}
	writeEvent(scr.s.out, e)
}

// note tells people what happens; with --json and -q it is left out.
func (scr *screen) note(format string, args ...any) {
	if !scr.quiet() && !scr.opts.json {
		scr.put(fmt.Sprintf(format, args...))
	}
}

// note1 is note for a line that is ready.
func (scr *screen) note1(line string) { scr.note("%s", line) }

// detail is a note for -v.
func (scr *screen) detail(format string, args ...any) {
	if scr.verbose() {
		scr.put(fmt.Sprintf(format, args...))
	}
}

// mapping tells what has become of the port at the router. That a router opens none is nothing
// new to most people, and nothing that they can act upon at once.
func (scr *screen) mapping(m portmap.Status) {
	switch {
	case scr.opts.json:
		e := mappingEvent{V: 1, Type: "mapping", Internal: m.Internal.String(), Protocol: m.Protocol, Public: m.Public(), Message: m.String()}
		if m.External.Addr().IsValid() {
			e.External = m.External.String()
		}
		scr.event(e)
	case m.Protocol != "":
		scr.note("%s", m)
	default:
		scr.detail("%s", m)
	}
}

// warn tells of something that does not end the command.
func (scr *screen) warn(w warningEvent) {
	switch {
	case scr.opts.json:
		w.V, w.Type = 1, "warning"
		scr.event(w)
	case !scr.quiet():
		scr.put(scr.opts.paint(scr.s, yellow, "warning:") + " " + w.Message)
	}
}

// fail tells of an item that failed while the others go on; -q shows it too.
func (scr *screen) fail(w warningEvent) {
	if scr.opts.json {
		scr.warn(w)
	}
	scr.put(scr.opts.paint(scr.s, red, "sharer:") + " " + w.Message)
}

// put prints one line on stderr.
func (scr *screen) put(line string) {
	scr.mu.Lock()
	defer scr.mu.Unlock()
	if !scr.meter.above(line + "\n") {
		io.WriteString(scr.s.err, line+"\n")
	}
}

// Write takes log lines, so that they do not tear the bars either.
func (scr *screen) Write(p []byte) (int, error) {
	scr.put(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// task puts a piece of work on the board. With plain lines, its first line is
// printed at once: a person sees within no time what is waited for.
func (scr *screen) task(v view) *task {
	t := scr.board.add(v)
	scr.meter.changed(t)
	return t
}

// end takes a task off; last, unless empty, is the line that stays.
func (scr *screen) end(t *task, last string) {
	scr.board.remove(t)
	scr.meter.changed(nil)
	if last != "" {
		scr.note("%s", last)
	}
}
