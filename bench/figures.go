package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
)

// sheet is what a case measured of sharer alone.
type sheet struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"` // numbers and texts, as the columns say
	Bars    []bar    `json:"bars,omitempty"`
}

// bar is something to be held to.
type bar struct {
	What string  `json:"what"`
	Got  float64 `json:"got"`
	Want float64 `json:"want_at_most"`
	Unit string  `json:"unit"`
}

func (b bar) String() string {
	verdict := "met"
	if !(b.Got <= b.Want) {
		verdict = "NOT MET"
	}
	return fmt.Sprintf("%s: %s %s, want at most %s %s: %s", b.What, number(b.Got), b.Unit, number(b.Want), b.Unit, verdict)
}

// measurement is a case that has no other program to be compared with.
type measurement struct {
	name, title string
	run         func(c *config, ctx context.Context, s *sheet) error
}

// measurements are all of them: latency, memory, and what costs as work grows.
func measurements() []measurement {
	return []measurement{
		{"latency", "4 KiB from a known peer, loopback", (*config).latency},
		{"first", "the first verified byte of a large file, a new peer, 100 ms round trip", (*config).firstByte},
		{"idle", "memory of a node at rest", (*config).idle},
		{"sizes", "memory of a download by the size of the content (simulated: three parts of it are there)", (*config).sizes},
		{"jobs", "downloads at the same time, loopback", (*config).jobs},
		{"peers", "peers that hold it, loopback", (*config).peers},
		{"index", "contents in the index", (*config).index},
		{"start", "files that are seeded: start", (*config).start},
		{"unknown", "requests for unknown ids, each from an address of its own", (*config).unknown},
	}
}

// add adds a row.
func (s *sheet) add(row ...any) { s.Rows = append(s.Rows, row) }

// print writes the table and what became of the bars.
func (s *sheet) print(out io.Writer) {
	fmt.Fprintf(out, "%s: %s\n", s.Name, s.Title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells []any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			if x, ok := c.(float64); ok {
				c = number(x)
			}
			fmt.Fprint(w, c)
		}
		fmt.Fprintln(w)
	}
	var heads []any
	for _, c := range s.Columns {
		heads = append(heads, c)
	}
	line(heads)
	for _, r := range s.Rows {
		line(r)
	}
	w.Flush()
	for _, b := range s.Bars {
		fmt.Fprintln(out, b)
	}
}

// number has three digits that mean something, and no exponent.
func number(x float64) string {
	switch {
	case x >= 100 || x == 0:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.4f", x)
}
