// Package metrics counts what happens, and writes it in the text format of Prometheus (version 0.0.4).
//
// What it promises:
//   - Names, labels and their number are fixed where a family is made; a bad one panics there, at the start of the
//     program, never while it runs.
//   - What is written is valid whatever the values of labels are: they are escaped.
//   - A family has at most [MaxSeries] series. Further ones are not kept, and counted in
//     sharer_metrics_dropped_total: nobody outside can fill the memory by inventing labels.
//
// What it does not: it opens no socket (see [Handler]), and knows no histogram.
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MaxSeries bounds the series of a family: some 200 bytes each, so 50 families take 2.5 MB at most.
const MaxSeries = 256

// Desc says what a family is.
type Desc struct {
	Name   string   // of [a-zA-Z_:][a-zA-Z0-9_:]*; that of a counter ends in _total
	Help   string   // one sentence
	Labels []string // names of the labels, in the order in which values are given
}

// kind is the word of a TYPE line.
type kind string

const (
	counter kind = "counter"
	gauge   kind = "gauge"
)

// Read is asked for the values of a family each time that it is written.
type Read func(set func(value float64, labels ...string))

// Registry holds families. The zero value is empty and ready; its methods are safe for concurrent use.
type Registry struct {
	scrape sync.Mutex // one at a time; taken first

	mu       sync.Mutex
	families []*family
	dropped  float64
}

// family is one metric with all of its series.
type family struct {
	Desc
	kind kind
	read Read // nil: the values are kept here

	mu     sync.Mutex
	series map[string]float64 // by labels as they are written
	r      *Registry
}

var (
	nameForm  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelForm = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// add registers a family. It panics when two have one name, or a name is malformed: mistakes of the program.
func (r *Registry) add(d Desc, k kind, read Read) *family {
	if !nameForm.MatchString(d.Name) || d.Help == "" || (k == counter) != strings.HasSuffix(d.Name, "_total") {
		panic(fmt.Sprintf("metrics: bad family %q", d.Name))
	}
	for _, l := range d.Labels {
		if !labelForm.MatchString(l) || strings.HasPrefix(l, "__") {
			panic(fmt.Sprintf("metrics: %s has a bad label %q", d.Name, l))
		}
	}
	f := &family{Desc: d, kind: k, read: read, series: make(map[string]float64), r: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.families {
		if other.Name == d.Name {
			panic(fmt.Sprintf("metrics: two families %s", d.Name))
		}
	}
	r.families = append(r.families, f)
	return f
}

// Counter only grows.
type Counter struct{ f *family }

// Counter makes a family of counters. One without labels is written as 0 from the beginning.
func (r *Registry) Counter(d Desc) *Counter {
	f := r.add(d, counter, nil)
	if len(d.Labels) == 0 {
		f.series[""] = 0
	}
	return &Counter{f}
}

// Add adds n to the series with these values of the labels.
func (c *Counter) Add(n uint64, labels ...string) { c.f.change(float64(n), true, labels) }

// Gauge goes up and down.
type Gauge struct{ f *family }

// Gauge makes a family of gauges.
func (r *Registry) Gauge(d Desc) *Gauge {
	f := r.add(d, gauge, nil)
	if len(d.Labels) == 0 {
		f.series[""] = 0
	}
	return &Gauge{f}
}

// Set sets the series with these values of the labels.
func (g *Gauge) Set(v float64, labels ...string) { g.f.change(v, false, labels) }

// CounterFunc makes a family of counters that somebody else keeps: read is asked at each scrape, by one goroutine at a
// time, and must not wait for anything.
func (r *Registry) CounterFunc(d Desc, read Read) { r.add(d, counter, read) }

// GaugeFunc is CounterFunc for what goes up and down.
func (r *Registry) GaugeFunc(d Desc, read Read) { r.add(d, gauge, read) }

// change adds to a series, or sets it.
func (f *family) change(v float64, add bool, labels []string) {
	key := f.key(labels)
	f.mu.Lock()
	old, known := f.series[key]
	if !known && len(f.series) >= MaxSeries {
		f.mu.Unlock()
		f.r.mu.Lock()
		f.r.dropped++
		f.r.mu.Unlock()
		return
	}
	if add {
		v += old
	}
	f.series[key] = v
	f.mu.Unlock()
}

// key is the labels of a series as they are written: {dir="up",kind="answer"}. A wrong number of values is a mistake
// of the program; what is missing is empty, what is too much is left out.
func (f *family) key(values []string) string {
	if len(f.Labels) == 0 {
		return ""
	}
	var b strings.Builder
	for i, name := range f.Labels {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		b.WriteString([]string{"{", ","}[min(i, 1)])
		b.WriteString(name + `="` + escapeLabel.Replace(strings.ToValidUTF8(value, "\uFFFD")) + `"`)
	}
	return b.String() + "}"
}

var (
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// Names are those of all families, sorted.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{droppedName}
	for _, f := range r.families {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

const droppedName = "sharer_metrics_dropped_total"

// Write writes all families, in the order in which they were made. The error is that of w.
func (r *Registry) Write(w io.Writer) error {
	r.scrape.Lock()
	defer r.scrape.Unlock()
	r.mu.Lock()
	families := slices.Clone(r.families)
	r.mu.Unlock()
	var b bytes.Buffer
	for _, f := range families {
		f.write(&b)
	}
	r.mu.Lock()
	dropped := r.dropped // last: reading the others may have dropped some
	r.mu.Unlock()
	head(&b, droppedName, "Series that were not kept since their family has too many.", counter)
	line(&b, droppedName, "", dropped)
	_, err := w.Write(b.Bytes())
	return err
}

func (f *family) write(b *bytes.Buffer) {
	if f.read != nil {
		f.mu.Lock()
		clear(f.series)
		f.mu.Unlock()
		f.read(func(v float64, labels ...string) { f.change(v, false, labels) })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := make([]string, 0, len(f.series))
	for k := range f.series {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	head(b, f.Name, f.Help, f.kind)
	for _, k := range keys {
		line(b, f.Name, k, f.series[k])
	}
}

func head(b *bytes.Buffer, name, help string, k kind) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, escapeHelp.Replace(help), name, k)
}

func line(b *bytes.Buffer, name, labels string, v float64) {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	switch {
	case math.IsInf(v, 1):
		text = "+Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		text = strconv.FormatInt(int64(v), 10)
	}
	b.WriteString(name + labels + " " + text + "\n")
}
