package main

import (
	"os"
	"sync"
	"time"
)

// meter shows what is on the board.
type meter interface {
	changed(begun *task)    // a task has begun, or, with nil, one has ended
	above(text string) bool // prints above what is redrawn; false if nothing is
	close()
}

// noMeter shows nothing.
type noMeter struct{}

func (noMeter) changed(*task)     {}
func (noMeter) above(string) bool { return false }
func (noMeter) close()            {}

// manyTasks is how many tasks get a line each; more are summed up in one.
const manyTasks = 8

// ticking prints the board at an interval and whenever a person asks: plain lines,
// or events.
type ticking struct {
	board *board
	print func([]view)
	turn  chan struct{} // one token: who has it looks at the board and prints what it saw
	stop  chan struct{}
	ended sync.WaitGroup
}

func newTicking(b *board, every time.Duration, tell <-chan os.Signal, print func([]view)) *ticking {
	m := &ticking{board: b, print: print, turn: make(chan struct{}, 1), stop: make(chan struct{})}
	m.ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-tell:
			case <-m.stop:
				return
			}
			m.all()
		}
	})
	return m
}

func (m *ticking) all() {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	views := m.board.snapshot()
	if sum, ok := m.board.total(); ok && len(views) > manyTasks {
		views = []view{sum}
	}
	m.print(views)
}

// changed prints the first line of a task. Of one that has ended nothing is printed any more when it returns: what comes next, such as the
// summary of --json, is the last line.
func (m *ticking) changed(begun *task) {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	if begun != nil {
		m.print([]view{begun.look()})
	}
}

func (m *ticking) above(string) bool { return false }

func (m *ticking) close() {
	close(m.stop)
	m.ended.Wait()
}

// rateMeter is the mean rate of the last ten seconds. The zero value is ready. It
// has one owner.
type rateMeter struct {
	samples []sample // at most one a second, the last eleven
	begun   time.Time
}

type sample struct {
	at   time.Time
	done int64
}

const (
	rateWindow = 10 * time.Second
	rateAfter  = 3 * time.Second // earlier there is nothing worth telling
)

// rate takes the bytes done so far and returns bytes a second, 0 before it can be told.
func (r *rateMeter) rate(now time.Time, done int64) float64 {
	if r.begun.IsZero() {
		r.begun = now
	}
	if n := len(r.samples); n == 0 || now.Sub(r.samples[n-1].at) >= time.Second {
		r.samples = append(r.samples, sample{now, done})
	}
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
	first := r.samples[0]
	if now.Sub(r.begun) < rateAfter || now.Sub(first.at) <= 0 {
		return 0
	}
	return float64(done-first.done) / now.Sub(first.at).Seconds()
}
