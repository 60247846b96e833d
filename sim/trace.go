package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sharer/internal/netsim"
	"sharer/wire"
)

const (
	traceLines = 40 // packets that the tale of a rule's first violation ends with
	toldMost   = 3  // violations of a rule that are told, the others are counted
)

// trace remembers the last packets.
type trace struct {
	ring [traceLines]traced
	n    int
}

type traced struct {
	at       time.Time
	from, to netip.AddrPort
	size     int
	outcome  netsim.Outcome
	names    [6]string
	elements int
	head     [48]byte // of the data, where its elements were not read
	headLen  int
}

func (t *trace) add(p *netsim.Packet, es []wire.Element) {
	r := &t.ring[t.n%traceLines]
	t.n++
	*r = traced{at: p.At, from: p.From, to: p.To, size: len(p.Data), outcome: p.Outcome, elements: len(es)}
	for i := range min(len(es), len(r.names)) {
		r.names[i] = es[i].Name
	}
	if len(es) == 0 {
		r.headLen = copy(r.head[:], p.Data)
	}
}

// lines are the last packets, the oldest first.
func (t *trace) lines(start time.Time) (out []string) {
	for i := max(0, t.n-traceLines); i < t.n; i++ {
		r := &t.ring[i%traceLines]
		what := ""
		if r.elements == 0 {
			what = fmt.Sprintf("%q", r.head[:r.headLen])
		} else {
			what = strings.Join(r.names[:min(r.elements, len(r.names))], " ")
			if more := r.elements - len(r.names); more > 0 {
				what += fmt.Sprintf(" and %d more", more)
			}
		}
		out = append(out, fmt.Sprintf("%12.6f s  %s > %s  %5d bytes  %-11s %s", r.at.Sub(start).Seconds(), r.from, r.to, r.size, r.outcome, what))
	}
	return out
}

// describe is a datagram for people: what it is, and its beginning.
func (d *datagram) describe(start time.Time) string {
	const most = 600
	text, more := d.data, ""
	if len(text) > most {
		text, more = text[:most], "…"
	}
	return fmt.Sprintf("%.6f s, %s to %s, %d bytes with headers: %q%s", d.at.Sub(start).Seconds(), d.from, d.to, d.size, text, more)
}

// tale is a violation for people: the first of a rule with the trace, the next ones without, nothing of those beyond.
func (w *watch) tale(r Rule, what string, concerned []string, seed uint64, test string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[r]++
	if w.told[r] > toldMost {
		return ""
	}
	text := fmt.Sprintf("seed %d, %.6f s: %s\n  %s", seed, time.Since(w.start).Seconds(), r, what)
	for _, c := range concerned {
		text += "\n  datagram: " + c
	}
	if w.told[r] > 1 {
		return text
	}
	return fmt.Sprintf("%s\nthe last packets of %s, seed %d:\n  %s", text, test, seed, strings.Join(w.trace.lines(w.start), "\n  "))
}

// untold says how often rules were broken beyond what was told.
func (w *watch) untold() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range [...]Rule{C1, C2, C3, C4, C5, C6, C7} {
		if n := w.told[r] - toldMost; n > 0 {
			lines = append(lines, fmt.Sprintf("%s: broken %d times more", r, n))
		}
	}
	return lines
}

func sprint(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprint(&b, p)
	}
	return b.String()
}
