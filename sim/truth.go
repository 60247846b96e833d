package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sharer/chunk"
)

// truthLocked is C1 on the wire: bytes of a known id that an honest node sends are those of the content.
func (w *watch) truthLocked(l *life, d *datagram) {
	for i := range d.es {
		if d.es[i].Name != "Content" {
			continue
		}
		m, err := w.contentLocked(&d.es[i], d.to)
		if err != nil {
			w.foundLocked(C1, fmt.Sprintf("%s sends a Content that cannot be read: %v", l, err), d)
			continue
		}
		if len(m.ID) == 0 {
			w.foundLocked(C1, fmt.Sprintf("%s sends a raw answer to who did not ask for it", l), d)
		}
		t, known := w.truths[string(m.ID)]
		if !known {
			continue
		}
		w.traffic.sent(d, t.kind, len(m.Data))
		size := int64(len(t.data))
		from := min(m.Offset, size)
		want := t.data[from:min(from+int64(len(m.Data)), size)]
		if !bytes.Equal(m.Data, want) {
			w.foundLocked(C1, fmt.Sprintf("%s sends %d bytes at %d of %s that are not the content's", l, len(m.Data), m.Offset, m.ID), d)
		}
		if m.EOF >= 0 && m.EOF != size && t.kind != chunk.SHA256 {
			w.foundLocked(C1, fmt.Sprintf("%s says that %s has %d bytes, it has %d", l, m.ID, m.EOF, size), d)
		}
	}
}

// lane is one direction between two addresses.
type lane struct{ from, to netip.AddrPort }

// tick is how finely Carried knows when bytes came.
const tick = 100 * time.Millisecond

// Carried is what one address sent another of content, in bytes decoded: block by block, whatever was lost or came twice.
type Carried struct {
	Sent, Came         int64   // of contents that the world knows
	TreeSent, TreeCame int64   // of their trees
	Requests           int64   // that the receiver of all this sent
	First              int     // the tick of 100 ms since the start of the world at which Ticks begins
	Ticks              []int64 // Came, for each tick
}

// Between is how many bytes of contents came in a span since the start of the world, as finely as a tick.
func (c Carried) Between(from, to time.Duration) (n int64) {
	for i, b := range c.Ticks {
		if at := time.Duration(c.First+i) * tick; at >= from && at < to {
			n += b
		}
	}
	return n
}

// traffic counts content on the wire.
type traffic struct{ lanes map[lane]*Carried }

func (t *traffic) of(from, to netip.AddrPort) *Carried {
	c := t.lanes[lane{from, to}]
	if c == nil {
		c = &Carried{}
		t.lanes[lane{from, to}] = c
	}
	return c
}

// sent counts what an honest node sends.
func (t *traffic) sent(d *datagram, k chunk.Kind, n int) {
	if c := t.of(d.from, d.to); k == chunk.BLAKE3Tree {
		c.TreeSent += int64(n)
	} else {
		c.Sent += int64(n)
	}
}

// came counts what reaches an honest node.
func (t *traffic) came(d *datagram, k chunk.Kind, n int, since time.Duration) {
	c := t.of(d.from, d.to)
	if k == chunk.BLAKE3Tree {
		c.TreeCame += int64(n)
		return
	}
	c.Came += int64(n)
	now := int(since / tick)
	if c.Ticks == nil {
		c.First = now
	}
	for c.First+len(c.Ticks) <= now {
		c.Ticks = append(c.Ticks, 0)
	}
	c.Ticks[now-c.First] += int64(n)
}

// cameLocked counts content that reaches an honest node.
func (w *watch) cameLocked(d *datagram) {
	for i := range d.es {
		if d.es[i].Name != "Content" {
			continue
		}
		if m, err := w.contentLocked(&d.es[i], d.to); err == nil {
			if t, known := w.truths[string(m.ID)]; known {
				w.traffic.came(d, t.kind, len(m.Data), d.at.Sub(w.start))
			}
		}
	}
}

// Carried returns what content one address sent another so far.
func (w *World) Carried(from, to netip.AddrPort) Carried {
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	c := *w.watch.traffic.of(bare(from), bare(to))
	c.Ticks = slices.Clone(c.Ticks)
	return c
}
