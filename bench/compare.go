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

// report is one case: one size, all programs.
type report struct {
	Case    string   `json:"case"`
	Bytes   int64    `json:"bytes"`
	Runs    int      `json:"runs"`
	CPUs    int      `json:"cpus"`
	Results []result `json:"results"`
	Absent  []string `json:"absent,omitempty"` // programs that could not be run, and why
}

// result is one program. Times are medians of its runs; a GB is 10^9 bytes of the file.
type result struct {
	Program string    `json:"program"`
	Ratio   float64   `json:"ours_over_this"` // speed of sharer / speed of this, from medians
	MBps    float64   `json:"mb_per_s"`
	Seconds []float64 `json:"seconds"`  // of each run, in order
	CPUUp   float64   `json:"cpu_up"`   // seconds a GB, of the serving side, user and system
	CPUDown float64   `json:"cpu_down"` // of the fetching side
}

// contender is a program that serves, with what was measured.
type contender struct {
	program
	server   *exec.Cmd
	fetch    []string
	seconds  []float64
	up, down []float64 // CPU seconds of each run
}

// compare runs all programs in turn over the same file, so often as c says.
func compare(ctx context.Context, c config, work string, size int64, progress io.Writer) (r report, err error) {
	r = report{Case: "one to one, loopback", Bytes: size, Runs: c.runs, CPUs: runtime.NumCPU()}
	path, target := filepath.Join(work, "file"), filepath.Join(work, "copy")
	if err := fill(path, size, rand.NewChaCha8([32]byte{1})); err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var all []*contender
	defer func() {
		cancel() // kills the servers
		for _, p := range all {
			_ = p.server.Wait() // killed: its error says so
		}
	}()
	for _, p := range programs(c.binary, work) {
		if name := p.absent(); name != "" {
			r.Absent = append(r.Absent, fmt.Sprintf("%s: there is no %s here", p.name, name))
			continue
		}
		q := &contender{program: p}
		if q.server, q.fetch, err = p.serve(ctx, path, target); err != nil {
			return r, err
		}
		all = append(all, q)
	}
	for i := range c.runs {
		for _, p := range all {
			if err := warm(work); err != nil {
				return r, err
			}
			if err := p.once(ctx, path, target); err != nil {
				return r, fmt.Errorf("%s: %w", p.name, err)
			}
			fmt.Fprintf(progress, "%d MiB, run %d of %d: %s %.2fs\n", size>>20, i+1, c.runs, p.name, p.seconds[i])
		}
	}
	for _, p := range all {
		r.Results = append(r.Results, p.result(size, median(all[0].seconds)))
	}
	return r, nil
}

// once fetches the file once, compares the copy and removes it.
func (p *contender) once(ctx context.Context, path, target string) error {
	before, err := cpu(p.server.Process.Pid)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.fetch[0], p.fetch[1:]...)
	begun := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	p.seconds = append(p.seconds, time.Since(begun).Seconds())
	after, err := cpu(p.server.Process.Pid)
	if err != nil {
		return err
	}
	p.up = append(p.up, after-before)
	p.down = append(p.down, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	return errors.Join(same(path, target), os.Remove(target))
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

// cpu is what a process has used so far, user and system, in seconds (proc(5), stat).
func cpu(pid int) (float64, error) {
	const ticks = 100 // a second: USER_HZ on every Linux that Go runs on
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything: fields are counted behind it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return float64(user+system) / ticks, errors.Join(err1, err2)
}

// warm writes and deletes 1.5 GiB: first touch of memory costs more than what is measured.
func warm(work string) error {
	path := filepath.Join(work, "warm")
	return errors.Join(fill(path, 3<<29, rand.NewChaCha8([32]byte{2})), os.Remove(path))
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
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
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
	fmt.Fprintf(out, "%s, %.0f MiB, medians of %d interleaved runs, %d CPUs\n", r.Case, float64(r.Bytes)/(1<<20), r.Runs, r.CPUs)
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
