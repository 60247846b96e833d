package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is one case: all programs.
type report struct {
	Name    string   `json:"name"`
	Case    string   `json:"case"`
	Bytes   int64    `json:"bytes"` // that one client fetches
	Files   int      `json:"files"`
	Servers int      `json:"servers"`
	Clients int      `json:"clients"`
	Runs    int      `json:"runs"`
	CPUs    int      `json:"cpus"`
	Results []result `json:"results"`
	Absent  []string `json:"absent,omitempty"` // programs that could not be run, or failed, and why
}

// result is one program. Times are medians of its runs; a GB is 10^9 bytes that were fetched, by all clients together.
type result struct {
	Program string    `json:"program"`
	Ratio   float64   `json:"ours_over_this"` // speed of sharer / speed of this, from medians
	MBps    float64   `json:"mb_per_s"`
	Seconds []float64 `json:"seconds"`  // of each run, in order, until the last client was done
	CPUUp   float64   `json:"cpu_up"`   // seconds a GB, of the serving side, user and system
	CPUDown float64   `json:"cpu_down"` // of the fetching side
}

// contender is a program that serves, with what was measured.
type contender struct {
	program
	service
	failed   error     // it takes part no more
	seconds  []float64 // of each run, as it came
	up, down []float64 // CPU seconds of each run
}

// errNoPlace is the error of a case that needs what this machine, or its user, has not.
var errNoPlace = errors.New("this case cannot be run here")

// compare runs all programs in turn over the same files, so often as c says.
func compare(ctx context.Context, c config, s scene, progress io.Writer) (r report, err error) {
	r = report{Name: s.name, Case: s.title, Bytes: s.bytes(), Files: s.files, Servers: s.servers, Clients: s.clients, Runs: c.runs, CPUs: runtime.NumCPU()}
	work, err := os.MkdirTemp(c.work, s.name)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	t := &task{scene: s, tools: c.tools, work: work, source: filepath.Join(work, "file")}
	if s.tags != "" {
		if t.sharer, err = build(ctx, work, s.tags); err != nil {
			return r, err
		}
	}
	if t.place, err = s.path.open(ctx, c.wary()); err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var all []*contender
	defer func() {
		cancel() // kills the servers
		for _, p := range all {
			for _, server := range p.servers {
				_ = server.Wait() // killed: its error says so
			}
		}
		err = errors.Join(err, t.close())
	}()
	if err := t.fill(); err != nil {
		return r, err
	}
	for _, p := range c.programs() {
		if p.fits != nil && !p.fits(s) || !p.ours && c.only != nil && !c.only.MatchString(p.name) {
			continue
		}
		if name := p.absent(); name != "" {
			r.Absent = append(r.Absent, fmt.Sprintf("%s: there is no %s here", p.name, name))
			continue
		}
		q := &contender{program: p}
		all = append(all, q)
		q.service, q.failed = p.serve(ctx, t)
	}
	if err := race(ctx, c, t, all, progress); err != nil {
		return r, err
	}
	for _, p := range all {
		if p.failed != nil {
			r.Absent = append(r.Absent, fmt.Sprintf("%s: %v", p.name, p.failed))
			continue
		}
		r.Results = append(r.Results, p.result(s.bytes()*int64(s.clients), median(all[0].seconds)))
	}
	return r, nil
}

// race runs all in turn, each time beginning with another. Only what is ours may not fail.
func race(ctx context.Context, c config, t *task, all []*contender, progress io.Writer) error {
	for i := range c.runs {
		for j := range all {
			p := all[(i+j)%len(all)]
			if p.failed == nil {
				p.failed = errors.Join(warm(t.work, t.bytes()*int64(t.clients)), p.once(ctx, t))
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if p.failed == nil {
				fmt.Fprintf(progress, "%s, run %d of %d: %s %.2fs\n", t.title, i+1, c.runs, p.name, p.seconds[i])
			} else if p.ours {
				return fmt.Errorf("%s: %w", p.name, p.failed)
			}
		}
	}
	return nil
}

// fill makes what is moved.
func (t *task) fill() error {
	rng := rand.NewChaCha8([32]byte{1})
	if t.files == 1 {
		return fill(t.source, t.size, rng)
	}
	err := os.Mkdir(t.source, 0o700)
	for i := 0; i < t.files && err == nil; i++ {
		err = fill(filepath.Join(t.source, name(i)), t.size, rng)
	}
	return err
}

// patience is how long one run may take: a program that never ends is left out.
const patience = 10 * time.Minute

// once has all clients fetch once, compares what they got and removes it.
func (p *contender) once(ctx context.Context, t *task) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, err := p.used()
	if err != nil {
		return err
	}
	clients := make([]*exec.Cmd, t.clients)
	said := make([]bytes.Buffer, t.clients)
	for k := range clients {
		args := p.fetch(k)
		clients[k] = exec.CommandContext(ctx, args[0], args[1:]...)
		clients[k].Stdout, clients[k].Stderr = &said[k], &said[k]
		if err := errors.Join(os.RemoveAll(t.scratch(k)), os.Mkdir(t.scratch(k), 0o700)); err != nil {
			return err
		}
		if t.files > 1 {
			if err := os.Mkdir(t.target(k), 0o700); err != nil {
				return err
			}
		}
	}
	begun := time.Now()
	for _, c := range clients {
		err = errors.Join(err, c.Start())
	}
	if err != nil {
		return err // those that run end with ctx
	}
	for k, c := range clients {
		if e := c.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("%w: %s", e, said[k].Bytes()))
		}
	}
	p.seconds = append(p.seconds, time.Since(begun).Seconds())
	after, errCPU := p.used()
	p.up = append(p.up, after-before)
	down := 0.0
	for k, c := range clients {
		down += (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
		if err == nil {
			err = t.check(filepath.Join(t.target(k), p.inside))
		}
		err = errors.Join(err, os.RemoveAll(t.target(k)))
	}
	p.down = append(p.down, down)
	return errors.Join(err, errCPU)
}

// check compares what a client got.
func (t *task) check(got string) error {
	if t.files == 1 {
		return same(t.source, got)
	}
	for i := range t.files {
		if err := same(filepath.Join(t.source, name(i)), filepath.Join(got, name(i))); err != nil {
			return err
		}
	}
	return nil
}

// used is the CPU seconds of all servers so far.
func (p *contender) used() (sum float64, err error) {
	for _, server := range p.servers {
		s, e := cpu(server.Process.Pid)
		sum, err = sum+s, errors.Join(err, e)
	}
	return sum, err
}

func (p *contender) result(size int64, ours float64) result {
	const gb = 1e9
	seconds := median(p.seconds)
	return result{Program: p.name, Ratio: seconds / ours, MBps: float64(size) / 1e6 / seconds, Seconds: p.seconds,
		CPUUp: median(p.up) / float64(size) * gb, CPUDown: median(p.down) / float64(size) * gb}
}

func median(xs []float64) float64 {
	s := slices.Sorted(slices.Values(xs))
	return s[len(s)/2]
}

// cpu is what a process and its children that have ended used so far, user and system, in seconds (proc(5), stat).
func cpu(pid int) (float64, error) {
	const ticks = 100 // a second: USER_HZ on every Linux that Go runs on
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything: fields are counted behind it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	sum := 0
	for _, field := range fields[11:15] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += n
	}
	return float64(sum) / ticks, nil
}

// warm writes and deletes four times what will be moved, 1.5 GiB at most: first touch of memory costs more than what is measured.
func warm(work string, moved int64) error {
	path := filepath.Join(work, "warm")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for left := min(4*moved, 3<<29); left > 0 && err == nil; left -= int64(len(buf)) {
		_, err = f.Write(buf)
	}
	return errors.Join(err, f.Close(), os.Remove(path))
}

// same compares two files.
func same(a, b string) error {
	x, errX := os.Open(a)
	y, errY := os.Open(b)
	if err := errors.Join(errX, errY); err != nil {
		return err
	}
	defer x.Close()
	defer y.Close()
	p, q := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errX := io.ReadFull(x, p)
		m, errY := io.ReadFull(y, q)
		switch {
		case !bytes.Equal(p[:n], q[:m]):
			return fmt.Errorf("%s is not a copy of %s", b, a)
		case errX != nil || errY != nil:
			return nil // both end here, or the lengths would differ
		}
	}
}

// print writes the table, ratios first.
func (r report) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %.0f MiB each, medians of %d interleaved runs, %d CPUs\n", r.Case, float64(r.Bytes)/(1<<20), r.Runs, r.CPUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "sharer is\tprogram\tMB/s\tfastest\tslowest\tCPU-s/GB up\tdown")
	for _, p := range r.Results {
		fmt.Fprintf(w, "%.2f ×\t%s\t%.0f\t%.2f s\t%.2f s\t%.2f\t%.2f\n", p.Ratio, p.Program, p.MBps, slices.Min(p.Seconds), slices.Max(p.Seconds), p.CPUUp, p.CPUDown)
	}
	w.Flush()
	for _, a := range r.Absent {
		fmt.Fprintln(out, "absent:", a)
	}
}
