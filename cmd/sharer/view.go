package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"

	"sharer/node"
)

// view is one look at a piece of work.
type view struct {
	name              string // escaped
	job, id           string // for events
	state             string
	files, filesTotal int   // counted if filesTotal > 0
	done, total       int64 // bytes; total is -1 while it is not known
	rate              float64
	peers, sources    int
}

// States that are shown by their figures and not by their word.
const (
	stateDownloading = "downloading"
	stateHashing     = "hashing"
)

// eta is the time that is left; ok is false while it cannot be told: the total is
// unknown, or the rate is not yet (the first three seconds).
func (v view) eta() (d time.Duration, ok bool) {
	if v.total < 0 || v.rate <= 0 || v.done > v.total {
		return 0, false
	}
	return time.Duration(float64(v.total-v.done) / v.rate * float64(time.Second)), true
}

// line is the view as text: name  42% 1.3/3.1 GiB  11.2 MiB/s  7 peers  ETA 2m41s.
// With a width above zero it fits into so many columns: the name is shortened
// first, then fields are left out from the right.
func (v view) line(width int) string {
	fields := v.fields()
	if width <= 0 {
		return strings.Join(append([]string{v.name}, fields...), "  ")
	}
	const leastName = 8
	for {
		rest := ""
		for _, f := range fields {
			rest += "  " + f
		}
		room := width - runewidth.StringWidth(rest)
		if room >= min(leastName, runewidth.StringWidth(v.name)) || len(fields) == 0 {
			return runewidth.Truncate(shortenMiddle(v.name, room)+rest, width, "…")
		}
		fields = fields[:len(fields)-1]
	}
}

func (v view) fields() []string {
	var fields []string
	add := func(format string, args ...any) { fields = append(fields, fmt.Sprintf(format, args...)) }
	figures := v.done > 0 || v.total >= 0
	switch {
	case v.name == v.state, strings.HasPrefix(v.name, v.state+" "): // the name says so
	case figures && (v.state == stateDownloading || v.state == stateHashing): // they say so by themselves
	default:
		add("%s", v.state)
	}
	if v.filesTotal > 0 {
		add("%d of %s", v.files, count(v.filesTotal, "file"))
	}
	switch {
	case v.done == 0 && (v.total < 0 || v.state == string(node.LookingForPeers) || v.state == string(node.Waiting)): // nothing to say yet
	case v.total > 0 && v.done < v.total:
		add("%d%% %s", v.done*100/v.total, formatPart(v.done, v.total))
	case v.done == v.total:
		add("%s", formatSize(v.done))
	default:
		add("%s", formatPart(v.done, -1))
	}
	if v.rate > 0 {
		add("%s/s", formatSize(int64(v.rate)))
	}
	switch {
	case v.peers == 1:
		add("1 peer")
	case v.peers > 1:
		add("%d peers", v.peers)
	}
	if d, ok := v.eta(); ok && v.done < v.total {
		add("ETA %s", shortDuration(d))
	}
	return fields
}

// event is the view as a JSON event.
func (v view) event() statusEvent {
	e := statusEvent{V: 1, Type: "status", Job: v.job, ID: v.id, State: v.state,
		BytesDone: v.done, Rate: int64(v.rate), Peers: v.peers, Sources: v.sources}
	if v.total >= 0 {
		e.BytesTotal = &v.total
	}
	if v.filesTotal > 0 {
		e.FilesDone, e.FilesTotal = &v.files, &v.filesTotal
	}
	if d, ok := v.eta(); ok {
		left := int64(d.Round(time.Second) / time.Second)
		e.ETA = &left
	}
	return e
}

// shortenMiddle keeps the head and the end of a name, where the extension is.
func shortenMiddle(s string, width int) string {
	if runewidth.StringWidth(s) <= width {
		return s
	}
	if width < 4 {
		return runewidth.Truncate(s, max(width, 0), "")
	}
	tail := (width - 1) / 3
	head := runewidth.Truncate(s, width-1-tail, "")
	return head + "…" + runewidth.TruncateLeft(s, runewidth.StringWidth(s)-tail, "")
}

// board holds the work that is going on. It is safe for concurrent use.
type board struct {
	mu       sync.Mutex
	tasks    []*task
	all      int // items that the command has to do; 0: nobody counts
	finished int
	bytes    int64 // of the finished
}

// task is one piece of work on the board.
type task struct {
	board *board
	view  view // guarded by board.mu
}

// update replaces what is shown of the task.
func (t *task) update(f func(v *view)) {
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	f(&t.view)
}

func (t *task) look() view {
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	return t.view
}

// expect says how many items there will be in all; with more than one, a total is shown.
func (b *board) expect(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = n
}

func (b *board) add(v view) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &task{board: b, view: v}
	b.tasks = append(b.tasks, t)
	return t
}

func (b *board) remove(t *task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.tasks {
		if other == t {
			b.tasks = append(b.tasks[:i:i], b.tasks[i+1:]...)
			b.finished++
			b.bytes += t.view.done
			return
		}
	}
}

// snapshot copies the views of the running work, oldest first.
func (b *board) snapshot() []view {
	b.mu.Lock()
	defer b.mu.Unlock()
	views := make([]view, 0, len(b.tasks))
	for _, t := range b.tasks {
		views = append(views, t.view)
	}
	return views
}

// total sums up the work, the finished included. ok is false if there is only one item.
func (b *board) total() (v view, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v = view{name: "total", state: stateDownloading, files: b.finished, filesTotal: b.all, done: b.bytes, total: b.bytes}
	if b.finished+len(b.tasks) < b.all {
		v.total = -1 // some have not begun
	}
	for _, t := range b.tasks {
		v.done += t.view.done
		v.rate += t.view.rate
		if t.view.total < 0 || v.total < 0 {
			v.total = -1
		} else {
			v.total += t.view.total
		}
	}
	return v, b.all > 1
}
