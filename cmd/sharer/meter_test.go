package main

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// screenFor makes a screen on buffers.
func screenFor(o *options, tell <-chan os.Signal) (scr *screen, out, errs *lockedBuffer) {
	out, errs = &lockedBuffer{}, &lockedBuffer{}
	return newScreen(o, &stdio{out: out, err: errs, getenv: func(string) string { return "" }, tell: tell}), out, errs
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tell := make(chan os.Signal)
		scr, _, errs := screenFor(&options{progress: "auto", interval: time.Second}, tell)
		task := scr.task(view{name: "a", state: "looking for peers", total: -1})
		task.update(func(v *view) { v.state, v.done, v.total = stateDownloading, 50, 100 })
		time.Sleep(59 * time.Second) // virtual
		synctest.Wait()
		if got, want := errs.String(), "a  looking for peers\n"; got != want {
			t.Errorf("after 59 s: %q, want %q", got, want)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		tell <- os.Interrupt
		synctest.Wait()
		scr.end(task, "a  done")
		scr.close()
		want := "a  looking for peers\na  50% 50/100 B\na  50% 50/100 B\na  done\n"
		if got := errs.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What is printed of a task while it ends comes before what is said of its end.
func TestNothingBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tell := make(chan os.Signal)
		var lines []string
		b := &board{}
		m := newTicking(b, time.Hour, tell, func(views []view) {
			time.Sleep(time.Second) // virtual
			lines = append(lines, "status")
		})
		task := b.add(view{name: "a"})
		tell <- os.Interrupt
		synctest.Wait()
		b.remove(task)
		m.changed(nil)
		lines = append(lines, "summary")
		m.close()
		if got := strings.Join(lines, " "); got != "status summary" {
			t.Errorf("got %q", got)
		}
	})
}

// The summary is the last line, whatever the node tells while it closes.
func TestNothingBehindTheSummary(t *testing.T) {
	scr, out, _ := screenFor(&options{json: true}, nil)
	defer scr.close()
	for _, e := range []any{chatEvent{Type: "chat"}, endEvent{V: 1, Type: "summary", Code: exitDone.String()}, chatEvent{Type: "chat"}} {
		scr.event(e)
	}
	scr.warn(warningEvent{Message: "x"})
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], `"summary"`) {
		t.Errorf("%q", lines)
	}
}

func TestManyTasksAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tell := make(chan os.Signal)
		scr, _, errs := screenFor(&options{progress: "line", interval: 5 * time.Second, intervalSet: true}, tell)
		scr.board.expect(20)
		for range manyTasks + 1 {
			scr.task(view{name: "x", state: stateDownloading, done: 1 << 20, total: 2 << 20, rate: 1024})
		}
		time.Sleep(5 * time.Second) // virtual
		synctest.Wait()
		if !strings.HasSuffix(errs.String(), "total  0 of 20 files  9.0 MiB of ?  9.0 KiB/s\n") {
			t.Errorf("got %q", errs.String())
		}
		scr.close()
	})
}

func TestStatusEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scr, out, errs := screenFor(&options{json: true, interval: time.Second}, nil)
		task := scr.task(view{name: "a", job: "g1", id: "blake3/ab", state: "looking for peers", total: -1})
		task.update(func(v *view) { v.state, v.done, v.total, v.rate = stateDownloading, 50, 100, 10 })
		time.Sleep(2 * time.Second) // virtual
		synctest.Wait()
		scr.note("not shown")
		scr.end(task, "not shown either")
		scr.close()
		status := `{"v":1,"type":"status","job":"g1","id":"blake3/ab","state":"downloading","bytes_done":50,"bytes_total":100,"rate":10,"eta_s":5,"peers":0,"sources":0}` + "\n"
		want := `{"v":1,"type":"status","job":"g1","id":"blake3/ab","state":"looking for peers","bytes_done":0,"rate":0,"peers":0,"sources":0}` + "\n" + status + status
		if out.String() != want || errs.String() != "" {
			t.Errorf("got %s and %s, want %s", out, errs, want)
		}
	})
}

func TestQuiet(t *testing.T) {
	for _, o := range []*options{{quiet: true}, {quiet: true, json: true}, {progress: "none"}} {
		o.interval = time.Second
		scr, out, errs := screenFor(o, nil)
		scr.end(scr.task(view{name: "a"}), "")
		scr.fail(warningEvent{Message: "broken"})
		scr.close()
		if errs.String() != "sharer: broken\n" || !o.json && out.String() != "" {
			t.Errorf("%+v: %q, %q", o, out, errs)
		}
	}
}

// What is printed above the bars must survive them, and the bars must be gone at the end.
func TestBars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tell := make(chan os.Signal)
		scr, _, errs := screenFor(&options{progress: "bar", interval: time.Second, color: "never"}, tell)
		scr.note("before")
		scr.board.expect(7)
		var tasks []*task
		for i := range 7 {
			tasks = append(tasks, scr.task(view{name: "file" + string(rune('0'+i)), state: stateDownloading, done: 5, total: 10}))
		}
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		screen := terminal(errs.String())
		want := "before\nfile0  50% 5/10 B\nfile1  50% 5/10 B\nfile2  50% 5/10 B\nfile3  50% 5/10 B\nfile4  50% 5/10 B\ntotal  0 of 7 files  50% 35/70 B\n"
		if screen != want {
			t.Errorf("running: %q\nwant %q", screen, want)
		}
		tell <- os.Interrupt
		synctest.Wait()
		for i, task := range tasks {
			scr.end(task, "done "+string(rune('0'+i)))
		}
		scr.note("after")
		second := scr.task(view{name: "again", total: -1})
		scr.warn(warningEvent{Message: "above"})
		scr.end(second, "")
		scr.close()
		screen = terminal(errs.String())
		if !strings.HasPrefix(screen, "before\nfile0  50% 5/10 B\n") || !strings.HasSuffix(screen, "file6  50% 5/10 B\n"+
			"done 0\ndone 1\ndone 2\ndone 3\ndone 4\ndone 5\ndone 6\nafter\nwarning: above\n") {
			t.Errorf("at the end: %q", screen)
		}
		if n := strings.Count(errs.String(), "\x1b["); n > 30 {
			t.Errorf("%d redraws in 2 s", n)
		}
	})
}

// terminal applies the only sequences that bars use: cursor up n and erase below.
func terminal(raw string) string {
	var lines []string
	for raw != "" {
		if rest, ok := strings.CutPrefix(raw, "\x1b["); ok {
			n := 0
			for rest[0] >= '0' && rest[0] <= '9' {
				n, rest = n*10+int(rest[0]-'0'), rest[1:]
			}
			raw = strings.TrimPrefix(rest, "A\x1b[J")
			lines = lines[:max(0, len(lines)-n)]
			continue
		}
		line, rest, _ := strings.Cut(raw, "\n")
		lines = append(lines, line)
		raw = rest
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestRateMeter(t *testing.T) {
	var m rateMeter
	at := time.Unix(0, 0)
	var got []float64
	for i := range 30 {
		done := int64(i) * 100
		if i > 20 {
			done = 2000 // it stalls
		}
		got = append(got, m.rate(at.Add(time.Duration(i)*time.Second), done))
	}
	for i, want := range map[int]float64{0: 0, 2: 0, 3: 100, 15: 100, 20: 100, 25: 50, 29: 10} {
		if diff := got[i] - want; diff > 1 || diff < -1 {
			t.Errorf("second %d: %.1f, want %.1f", i, got[i], want)
		}
	}
	if len(m.samples) > 12 {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}
