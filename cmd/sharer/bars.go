package main

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	maxRows     = 5                      // tasks that get a row; the total sums up the others
	redrawEvery = 100 * time.Millisecond // at most ten a second
)

// bars redraws a row for each of the first tasks and one for the total. Row i shows
// whatever task is i-th when it is drawn, so tasks come and go without moving rows.
type bars struct {
	board   *board
	options []mpb.ContainerOption
	stop    chan struct{}
	ended   sync.WaitGroup

	// mu guards the rows. The functions that draw never take it: adding a row waits
	// for the goroutine that draws.
	mu    sync.Mutex
	drawn *mpb.Progress // nil while there is nothing to draw
	rows  []*mpb.Bar
	total *mpb.Bar
}

// newBars draws on w. A w that is no terminal is drawn on all the same: the user
// has asked for it.
func newBars(b *board, w io.Writer, tty bool, tell <-chan os.Signal) *bars {
	options := []mpb.ContainerOption{mpb.WithOutput(w), mpb.WithRefreshRate(redrawEvery)}
	if !tty {
		options = append(options, mpb.WithAutoRefresh(), mpb.WithConsoleWriter(cupwriter.New(w, true)))
	}
	m := &bars{board: b, options: options, stop: make(chan struct{})}
	m.ended.Go(func() {
		for {
			select {
			case <-tell:
				for _, v := range b.snapshot() {
					m.above(v.line(0) + "\n")
				}
			case <-m.stop:
				return
			}
		}
	})
	return m
}

// changed gives the board as many rows as it needs.
func (m *bars) changed(*task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := min(len(m.board.snapshot()), maxRows)
	sum, several := m.board.total()
	if want == 0 && !(several && sum.files < sum.filesTotal) {
		m.eraseLocked()
		return
	}
	if m.drawn == nil {
		m.drawn = mpb.New(m.options...)
	}
	for len(m.rows) < want {
		i := len(m.rows)
		m.rows = append(m.rows, m.addLocked(i, func(width int) string {
			if views := m.board.snapshot(); i < len(views) {
				return views[i].line(width)
			}
			return ""
		}))
	}
	for len(m.rows) > want {
		last := len(m.rows) - 1
		m.rows[last].Abort(true)
		m.rows = m.rows[:last]
	}
	if several && m.total == nil {
		m.total = m.addLocked(maxRows, func(width int) string {
			v, _ := m.board.total()
			return v.line(width)
		})
	}
}

// addLocked adds a row that is nothing but our own text.
func (m *bars) addLocked(priority int, text func(width int) string) *mpb.Bar {
	return m.drawn.New(0, mpb.NopStyle(), mpb.BarPriority(priority), mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return text(s.AvailableWidth) })))
}

// eraseLocked removes all rows and waits until the terminal is clean: what is
// printed next would be overwritten otherwise.
func (m *bars) eraseLocked() {
	if m.drawn == nil {
		return
	}
	for _, b := range m.rows {
		b.Abort(true)
	}
	if m.total != nil {
		m.total.Abort(true)
	}
	m.drawn.Wait()
	m.drawn, m.rows, m.total = nil, nil, nil
}

func (m *bars) above(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drawn == nil {
		return false
	}
	_, err := m.drawn.Write([]byte(text))
	return err == nil
}

func (m *bars) close() {
	close(m.stop)
	m.ended.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eraseLocked()
}
