package sim

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/transfer"
)

var long = flag.Bool("sim.long", false, "run rows, seeds and hours at their full size")

var controls = flag.String("sim.control", "model", "congestion control of downloads: model, delay, background")

// control is what that flag names.
func control(t *testing.T) transfer.Congestion {
	t.Helper()
	c, ok := map[string]transfer.Congestion{"model": transfer.Model, "delay": transfer.Delay, "background": transfer.Background}[*controls]
	if !ok {
		t.Fatalf("-sim.control=%s: want model, delay or background", *controls)
	}
	return c
}

// row is a line of the reliability list: the fault, the bar, and the test that tells whether it holds. The table rows is
// what TestRow and the scoreboard go by, so that none has a row that the other has not.
type row struct {
	id, fault, bar string
	where          string // "test": also in every go test, smaller; "long": with -sim.long only; "none": nowhere
	run            func(t *testing.T, r *result)
	elsewhere      string // "./package Test|Test" where it is tested instead of run; "" otherwise
}

// result is what a row has shown.
type result struct {
	t       *testing.T
	figures []string
}

// figure notes a measured value.
func (r *result) figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

// bar notes a value, and fails the row if it does not hold.
func (r *result) bar(ok bool, format string, args ...any) {
	r.t.Helper()
	s := fmt.Sprintf(format, args...)
	if !ok {
		r.t.Errorf("misses its bar: %s", s)
		s += " (miss)"
	}
	r.figures = append(r.figures, s)
}

// size is short in a short run and full in a long one.
func size[T any](short, full T) T {
	if *long {
		return full
	}
	return short
}

// worlds is what all worlds of rows have shown together.
var worlds struct {
	mu    sync.Mutex
	n     int
	ratio float64
	bad   int // violations of C1
}

// inBubble runs a world, and closes it.
func inBubble(t *testing.T, o Options, f func(w *World)) {
	t.Helper()
	o.Control = max(o.Control, control(t))
	synctest.Test(t, func(t *testing.T) {
		w := New(t, o)
		defer func() {
			w.Close()
			worlds.mu.Lock()
			defer worlds.mu.Unlock()
			worlds.n++
			worlds.ratio = max(worlds.ratio, w.WorstRatio())
			worlds.bad += w.Broken(C1)
		}()
		f(w)
	})
}

// rows are in the order of the list.
var rows = concat(linkRows, sharingRows, movingRows, swarmRows, limitRows, hostileRows, floodRows, idleRows)

func concat(tables ...[]row) (all []row) {
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

// dear are rows that take long and show how much, by code that other rows run too.
var dear = map[string]bool{"N4": true, "N8": true, "N9": true, "N17": true}

// variation leaves out, with -short, what runs the same code as others with other numbers: the race detector makes
// it ten times as dear and finds nothing more in it.
func variation(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a variation of others: runs without -short")
	}
}

// TestRow runs each row as a subtest of its name: -run 'TestRow/N2' runs the ladder, at full size with -sim.long, and tells figures
// with -v.
func TestRow(t *testing.T) {
	for _, row := range rows {
		t.Run(row.id, func(t *testing.T) {
			if row.where == "long" && !*long {
				t.Skip("runs with -sim.long")
			}
			if !*long {
				if dear[row.id] {
					variation(t)
				}
				if row.id != "A18" { // which measures the heap of the process
					t.Parallel()
				}
			}
			runRow(t, row)
		})
	}
}

// runRow runs one row and logs what it has shown.
func runRow(t *testing.T, row row) *result {
	t.Helper()
	r := &result{t: t}
	start := time.Now()
	defer func() {
		t.Logf("%s [%s]: %s (%.1f s real)", row.fault, row.bar, strings.Join(r.figures, "; "), time.Since(start).Seconds())
	}()
	row.run(t, r)
	return r
}
