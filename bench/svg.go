package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// Measures of the picture, in its own units.
const (
	barHeight  = 18
	barGap     = 4
	caseGap    = 22
	labelWidth = 190
	barsWidth  = 440
	numberRoom = 150
)

// picture draws a bar for each program in each case. Bars of one case share a scale, as only they may be compared.
func picture(rs []report) []byte {
	height := 10
	for _, r := range rs {
		height += caseGap + len(r.Results)*(barHeight+barGap) + 12
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", labelWidth+barsWidth+numberRoom, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	y := 10
	for _, r := range rs {
		text(&b, 10, y+14, "bold", fmt.Sprintf("%s, %s each, medians of %d runs, %d CPUs", r.Case, amount(r.Bytes), r.Runs, r.CPUs))
		y += caseGap
		most := 0.0
		for _, p := range r.Results {
			most = max(most, p.MBps)
		}
		for i, p := range r.Results {
			colour := "#9aa7b5"
			if i == 0 {
				colour = "#2f6fb2"
			}
			text(&b, 10, y+13, "normal", p.Program)
			width := 0.0
			if most > 0 {
				width = p.MBps / most * barsWidth
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y, width, barHeight, colour)
			number := fmt.Sprintf("%.0f MB/s", p.MBps)
			if i > 0 {
				number += fmt.Sprintf(", sharer is %.2f ×", p.Ratio)
			}
			text(&b, labelWidth+int(width)+6, y+13, "normal", number)
			y += barHeight + barGap
		}
		y += 12
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func text(b *bytes.Buffer, x, y int, weight, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="%s">`, x, y, weight)
	_ = xml.EscapeText(b, []byte(s)) // a Buffer takes everything
	b.WriteString("</text>\n")
}

// amount is a number of bytes for people.
func amount(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
}
