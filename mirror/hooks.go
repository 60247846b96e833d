package mirror

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Hooks are commands of the operator, run by the system's shell when something has happened.
type Hooks struct {
	Update string        `json:"on_update,omitempty"`      // a version has become current
	Hold   string        `json:"on_hold,omitempty"`        // a version is held, or the mirror frozen
	Full   string        `json:"on_full,omitempty"`        // for want of room
	Scrub  string        `json:"on_scrub_error,omitempty"` // damage was found
	Limit  time.Duration `json:"limit,omitempty"`          // ns; 0: a minute
}

// Any says whether there is a command.
func (h Hooks) Any() bool { return h.Update != "" || h.Hold != "" || h.Full != "" || h.Scrub != "" }

const (
	hookLimit  = time.Minute
	hookOutput = 4096        // bytes that are logged
	hookGrace  = time.Second // what still runs when the set closes has so long to end
	hookJobs   = 8           // commands of all mirrors at the same time
	maxHooks   = 16          // that wait, of one mirror: then the one that waits longest is left out
)

// hookCall is one command that is to run.
type hookCall struct {
	event   Event
	command string
	limit   time.Duration
	env     []string
}

// hookQueue are the commands of one mirror, in order: they run beside it, so that one which takes long holds up no mirror.
type hookQueue struct {
	ctx   context.Context // ends what runs
	stop  context.CancelFunc
	more  chan struct{} // one token: something waits, or nothing comes any more
	ended chan struct{}

	mu      sync.Mutex
	waiting []hookCall
	closed  bool
}

func newHookQueue(ctx context.Context) *hookQueue {
	q := &hookQueue{more: make(chan struct{}, 1), ended: make(chan struct{})}
	q.ctx, q.stop = context.WithCancel(ctx)
	return q
}

// push has a command run after those that wait; left is what is left out for it.
func (q *hookQueue) push(c hookCall) (left *hookCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return &c
	}
	if len(q.waiting) == maxHooks {
		first := q.waiting[0]
		left, q.waiting = &first, slices.Delete(q.waiting, 0, 1)
	}
	q.waiting = append(q.waiting, c)
	q.wake()
	return left
}

func (q *hookQueue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// close lets nothing more in. What waits still runs, until ctx ends.
func (q *hookQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// next waits for a command; false: none comes any more.
func (q *hookQueue) next() (c hookCall, ok bool) {
	for {
		q.mu.Lock()
		n, closed := len(q.waiting), q.closed
		if n > 0 && q.ctx.Err() == nil {
			c = q.waiting[0]
			q.waiting = slices.Delete(q.waiting, 0, 1)
			q.mu.Unlock()
			return c, true
		}
		q.mu.Unlock()
		if closed {
			return hookCall{}, false
		}
		select {
		case <-q.more:
		case <-q.ctx.Done():
			return hookCall{}, false
		}
	}
}

// runHooks runs the mirror's commands, one after the other.
func (m *Mirror) runHooks(turns chan struct{}) {
	defer close(m.hooks.ended)
	defer m.leaveOut()
	for {
		c, ok := m.hooks.next()
		if !ok {
			return
		}
		select {
		case turns <- struct{}{}:
		case <-m.hooks.ctx.Done():
			return
		}
		m.runOne(c)
		<-turns
	}
}

func (m *Mirror) runOne(c hookCall) {
	said, err := runHook(m.hooks.ctx, c.command, c.limit, c.env)
	text, failed := "ok", ""
	if err != nil {
		text = err.Error()
		failed = "on-" + c.event.What + ": " + text
	}
	if said != "" {
		text += ": " + said
	}
	m.log(Event{What: "hook", Seq: c.event.Seq, Text: c.event.What + ": " + text})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = failed
}

// happened logs an event, and has its hook run.
func (m *Mirror) happened(e Event, command string) {
	m.log(e)
	if command == "" {
		return
	}
	m.mu.Lock()
	spec, current := m.spec, m.current
	m.mu.Unlock()
	left := m.hooks.push(hookCall{e, command, spec.Hooks.Limit, []string{
		"SHARER_EVENT=" + e.What, "SHARER_MIRROR=" + spec.Name, "SHARER_LINK=" + spec.Link(), "SHARER_DIR=" + spec.Dir,
		"SHARER_SEQ=" + strconv.FormatInt(e.Seq, 10), "SHARER_CURRENT=" + current.Head.String(), "SHARER_REASON=" + e.Text,
	}})
	if left != nil {
		m.leftOut(*left, "too many wait for the one that runs")
	}
}

// leaveOut tells what will not run any more.
func (m *Mirror) leaveOut() {
	m.hooks.mu.Lock()
	left := m.hooks.waiting
	m.hooks.waiting, m.hooks.closed = nil, true
	m.hooks.mu.Unlock()
	for _, c := range left {
		m.leftOut(c, "the daemon ends")
	}
}

func (m *Mirror) leftOut(c hookCall, why string) {
	m.log(Event{What: "hook", Seq: c.event.Seq, Text: c.event.What + ": left out: " + why})
}

// runHook runs a command, at most limit, and returns what it said.
func runHook(ctx context.Context, command string, limit time.Duration, env []string) (string, error) {
	if limit <= 0 {
		limit = hookLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	shell, flag := "/bin/sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd", "/C"
	}
	cmd := exec.CommandContext(ctx, shell, flag, command)
	cmd.Env = append(os.Environ(), env...)
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // for what it has started and left
	whole(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended well, and left something running
	}
	switch ctx.Err() {
	case context.DeadlineExceeded:
		err = errors.New("took longer than " + limit.String())
	case context.Canceled:
		err = errors.New("ended with the mirror")
	}
	return strings.TrimSpace(strings.ToValidUTF8(out.String(), "?")), err
}

// head keeps the beginning of what is written.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if left := hookOutput - h.Len(); left > 0 {
		h.Buffer.Write(p[:min(left, len(p))])
	}
	return len(p), nil
}
