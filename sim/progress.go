package sim

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sharer/node"
)

// Progress is how much of their contents nodes had, over time: one line for each node, as node.Stats told it at each poll.
type Progress struct {
	Title string

	start time.Time
	mu    sync.Mutex
	lines map[*life]*progressLine
	order []*progressLine
}

// progressLine is one life of a node.
type progressLine struct {
	at     netip.AddrPort
	points []progressPoint
	ended  time.Duration // when the node went, 0: it stayed
}

type progressPoint struct {
	at    time.Duration
	share float64 // 0 to 1
}

// FollowProgress notes from now on what downloads say of themselves.
func (w *World) FollowProgress(title string) *Progress {
	p := &Progress{Title: title, start: w.Start, lines: map[*life]*progressLine{}}
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	w.watch.progress = p
	return p
}

// note is told what a node says, and whether it has gone.
func (p *Progress) note(l *life, s node.Stats, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range s.Downloads {
		if total := s.Downloads[i].Total; total > 0 {
			p.add(l, now.Sub(p.start), float64(s.Downloads[i].Done)/float64(total))
		}
	}
}

// finished is told that a download ended well.
func (p *Progress) finished(l *life, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(l, now.Sub(p.start), 1)
}

// gone is told that a node was closed.
func (p *Progress) gone(l *life, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if line := p.lines[l]; line != nil {
		line.ended = now.Sub(p.start)
	}
}

func (p *Progress) add(l *life, at time.Duration, share float64) {
	line := p.lines[l]
	if line == nil {
		line = &progressLine{at: l.at[0]}
		p.lines[l] = line
		p.order = append(p.order, line)
	}
	if n := len(line.points); n > 0 && line.points[n-1].share == share && share < 1 {
		return
	}
	line.points = append(line.points, progressPoint{at, share})
}

// CSV writes node, seconds, share; one line for each point.
func (p *Progress) CSV(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	b.WriteString("node,life,seconds,share\n")
	for i, line := range p.order {
		for _, x := range line.points {
			fmt.Fprintf(&b, "%s,%d,%.3f,%.4f\n", line.at, i+1, x.at.Seconds(), x.share)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Measures of the picture, in pixels.
const (
	pictureWidth = 900
	rowMost      = 14 // height of a node's row at most
	pictureSpan  = 560
	marginLeft   = 40
	marginTop    = 46
	marginBelow  = 34
)

// SVG draws one row for each life of a node, from when it was there to when it went, the darker the more blocks it has; the moment
// of its last block is a green mark.
func (p *Progress) SVG(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := time.Second
	for _, line := range p.order {
		end = max(end, line.points[len(line.points)-1].at, line.ended)
	}
	lines := slices.Clone(p.order)
	height := min(rowMost, max(2, pictureSpan/max(len(lines), 1)))
	gap := 0
	if height > 4 {
		gap = 1
	}
	x := func(at time.Duration) float64 {
		return marginLeft + at.Seconds()/end.Seconds()*(pictureWidth-marginLeft-10)
	}
	bottom := marginTop + height*len(lines)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, bottom+marginBelow)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="20" font-size="15">%s</text>`+"\n", marginLeft, escape(p.Title))
	fmt.Fprintf(&b, `<text x="%d" y="36" fill="#666">one row for each node; the darker, the more blocks; green: complete</text>`+"\n", marginLeft)
	for i, line := range lines {
		y := marginTop + i*height
		for k, pt := range line.points {
			to := end
			switch {
			case k+1 < len(line.points):
				to = line.points[k+1].at
			case line.ended > 0:
				to = line.ended
			}
			fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x(pt.at), y, max(x(to)-x(pt.at), 0.3), height-gap, shade(pt.share))
		}
	}
	step := tickStep(end)
	for at := time.Duration(0); at <= end; at += step {
		fmt.Fprintf(&b, `<path d="M%.1f %d v5" stroke="#666"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%.0f s</text>`+"\n", x(at), bottom, x(at), bottom+20, at.Seconds())
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// shade is from light to dark blue, and green for what is complete.
func shade(share float64) string {
	if share >= 1 {
		return "#2e9e5b"
	}
	mix := func(a, b float64) int { return int(a + (b-a)*share) }
	return fmt.Sprintf("#%02x%02x%02x", mix(222, 20), mix(232, 60), mix(246, 130))
}

// tickStep is a round number of seconds that makes about eight marks.
func tickStep(end time.Duration) time.Duration {
	for _, s := range []time.Duration{1, 2, 5, 10, 20, 30, 60, 120, 300, 600} {
		if end/(s*time.Second) <= 10 {
			return s * time.Second
		}
	}
	return end/8 + 1
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
