//go:build linux

package e2e

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chart is figures over time, in panels one below the other that share the axis of time.
type chart struct {
	title  string
	panels []panel
}

// panel is some lines over time, and spans that are told apart by marks.
type panel struct {
	title string
	lines []line
	marks []mark
}

// line is what was counted at times; it is drawn as Mbit/s between each two points.
type line struct {
	name   string
	points []point
}

type point struct {
	at    time.Duration
	bytes int64 // so far
}

type mark struct {
	at   time.Duration
	text string
}

// Measures of a chart, in pixels.
const (
	chartWidth  = 900
	panelHeight = 190
	chartLeft   = 46
	chartRight  = 12
	chartTop    = 34
	panelTop    = 34 // of its title and its names, above the lines
	chartBelow  = 30
)

var chartColours = []string{"#1f5fa8", "#d1702b", "#2e9e5b", "#8a4fb0"}

// rates turns counts into a rate for each span between two points.
func (l line) rates() (at []time.Duration, mbit []float64) {
	for i := 1; i < len(l.points); i++ {
		a, b := l.points[i-1], l.points[i]
		if b.at > a.at {
			at = append(at, b.at)
			mbit = append(mbit, float64(b.bytes-a.bytes)*8/1e6/(b.at-a.at).Seconds())
		}
	}
	return at, mbit
}

// roundUp is a number of one digit, or 1.5, 2 or 2.5 tens, that is no less.
func roundUp(x float64) float64 {
	if x <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8} {
		if m*unit >= x {
			return m * unit
		}
	}
	return 10 * unit
}

// draw writes it as SVG.
func (c chart) draw(w io.Writer) error {
	var end time.Duration
	top := 0.0
	for _, p := range c.panels {
		for _, l := range p.lines {
			at, mbit := l.rates()
			for i := range at {
				end, top = max(end, at[i]), max(top, mbit[i])
			}
		}
	}
	if end == 0 {
		return errors.New("nothing to draw")
	}
	top = roundUp(top)
	x := func(at time.Duration) float64 {
		return chartLeft + at.Seconds()/end.Seconds()*(chartWidth-chartLeft-chartRight)
	}
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, chartTop+len(c.panels)*panelHeight+chartBelow)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="20" font-size="15">%s</text>`+"\n", chartLeft, text(c.title))
	for k, p := range c.panels {
		above, below := chartTop+k*panelHeight+panelTop, chartTop+(k+1)*panelHeight-10
		y := func(v float64) float64 { return float64(below) - v/top*float64(below-above) }
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", chartLeft, above-16, text(p.title))
		for _, v := range []float64{0, top / 2, top} {
			fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#666">%g</text>`+"\n", chartLeft, y(v), chartWidth-chartRight, chartLeft-6, y(v)+4, v)
		}
		for _, m := range p.marks {
			fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#999" stroke-dasharray="4 3"/><text x="%.1f" y="%d" fill="#666">%s</text>`+"\n", x(m.at), above, below, x(m.at)+4, above+10, text(m.text))
		}
		for i, l := range p.lines {
			at, mbit := l.rates()
			fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", chartLeft+i*180, above-3, chartColours[i%len(chartColours)], text(l.name))
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, chartColours[i%len(chartColours)])
			for j := range at {
				fmt.Fprintf(&b, "%.1f,%.1f ", x(at[j]), y(mbit[j]))
			}
			b.WriteString("\"/>\n")
		}
	}
	bottom := chartTop + len(c.panels)*panelHeight - 10
	step := time.Duration(roundUp(end.Seconds()/10) * float64(time.Second))
	for at := time.Duration(0); at <= end; at += step {
		fmt.Fprintf(&b, `<path d="M%.1f %d v5" stroke="#666"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%g s</text>`+"\n", x(at), bottom, x(at), bottom+20, at.Seconds())
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// save writes a chart to a file in the folder that SHARER_E2E_PICTURES names.
func (c chart) save(t *testing.T, name string) {
	t.Helper()
	var b bytes.Buffer
	check(t, c.draw(&b))
	if dir := os.Getenv("SHARER_E2E_PICTURES"); dir != "" {
		check(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644))
	}
}

// A chart is well-formed, and its lines are where the figures are.
func TestImpairChart(t *testing.T) {
	c := chart{"a < b", []panel{
		{"one", []line{{"x", []point{{0, 0}, {time.Second, 1e6 / 8}, {2 * time.Second, 3e6 / 8}}}}, []mark{{time.Second, "&"}}},
		{"two", []line{{"y", nil}}, nil},
	}}
	var b bytes.Buffer
	check(t, c.draw(&b))
	var lines []string
	d := xml.NewDecoder(&b)
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		check(t, err)
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
			for _, a := range e.Attr {
				if a.Name.Local == "points" {
					lines = append(lines, a.Value)
				}
			}
		}
	}
	// 1 of 2 Mbit/s after half of the time, 2 of 2 at its end.
	if len(lines) != 2 || lines[0] != "467.0,141.0 888.0,68.0 " || lines[1] != "" {
		t.Errorf("lines %q", lines)
	}
	if err := (chart{}).draw(&b); err == nil {
		t.Error("a chart of nothing is drawn")
	}
}
