package sim

import (
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// Truth answers what an honest peer would, for contents; for others nothing.
func Truth(contents ...*Content) Behaviour {
	return Behaviour{Name: "truth", Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		for _, c := range contents {
			if c.ID(q.ID.Kind) == q.ID {
				return append(as, Answer{Content: slice(c.Bytes(q.ID.Kind), q)})
			}
		}
		return as
	}}
}

// Raw answers raw who asks for that, whatever the answer is.
func Raw() Behaviour { return Behaviour{Name: "raw", Set: func(e *Evil) { e.raw = true }} }

// slice is the honest answer of one who has data.
func slice(data []byte, q Ask) wire.Content {
	size := int64(len(data))
	from := min(q.Offset, size)
	to := min(from+min(q.Length, chunk.BlockSize), size)
	return wire.Content{Offset: q.Offset, Data: data[from:to], EOF: size}
}

// Where says which answers a lie is about.
type Where func(q Ask) bool

// What lies may be about.
var (
	Anything Where = func(Ask) bool { return true }
	Blocks   Where = func(q Ask) bool { return q.ID.Kind != chunk.BLAKE3Tree }
	Trees    Where = func(q Ask) bool { return q.ID.Kind == chunk.BLAKE3Tree }
	Leaves   Where = func(q Ask) bool { return q.ID.Kind == chunk.BLAKE3Tree && q.Offset > chunk.BlockSize }
	Later    Where = func(q Ask) bool { return q.ID.Kind != chunk.BLAKE3Tree && q.Offset > 0 }
)

// change makes a behaviour that changes each answer to what it is about, and counts that.
func change(name string, where Where, f func(e *Evil, q Ask, a *Answer) bool) Behaviour {
	return Behaviour{Name: name, Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		if !where(q) {
			return as
		}
		for i := range as {
			if f(e, q, &as[i]) {
				e.Note(name)
			}
		}
		return as
	}}
}

// Flip changes one bit in a share of answers.
func Flip(rate float64, where Where) Behaviour {
	return change("flip", where, func(e *Evil, _ Ask, a *Answer) bool {
		if len(a.Data) == 0 || e.rng.Float64() >= rate {
			return false
		}
		a.Data = append([]byte(nil), a.Data...)
		a.Data[e.Draw(len(a.Data))] ^= 1 << e.Draw(8)
		return true
	})
}

// ClaimSize says another size, computed from the true one. An answer without bytes gets a block of zeros.
func ClaimSize(size func(true int64, q Ask) int64) Behaviour {
	return change("size", Anything, func(_ *Evil, q Ask, a *Answer) bool {
		a.EOF = size(a.EOF, q)
		if len(a.Data) == 0 {
			a.Data = make([]byte, chunk.BlockSize)
		}
		return true
	})
}

// OtherOffset says that the bytes are those of the block before.
func OtherOffset() Behaviour {
	return change("offset", Later, func(_ *Evil, _ Ask, a *Answer) bool {
		a.Offset -= chunk.BlockSize
		return true
	})
}

// OtherBytes gives the bytes of the block before.
func OtherBytes(c *Content) Behaviour {
	return change("bytes", Later, func(_ *Evil, q Ask, a *Answer) bool {
		q.Offset -= chunk.BlockSize
		a.Data = slice(c.Data, q).Data
		return true
	})
}

// nodeSize is that of one chaining value in a tree file.
const nodeSize = 32

// HalfTree serves a tree file of c without its last level: it is consistent and of half the height. With lieAboutSize the size fits that tree.
func HalfTree(c *Content, lieAboutSize bool) Behaviour {
	half := c.Tree()[:int64(len(c.Tree()))-nodeSize*chunk.ShapeOf(c.Size()).Blocks()]
	data := c.Data
	if lieAboutSize {
		data = data[:(len(data)/chunk.BlockSize+2)/2*chunk.BlockSize]
	}
	return change("half tree", Anything, func(_ *Evil, q Ask, a *Answer) bool {
		if q.ID.Kind == chunk.BLAKE3Tree {
			a.Content = slice(half, q)
			return true
		}
		a.Content = slice(data, q)
		return lieAboutSize
	})
}

// Only answers what it is about and leaves the rest unanswered.
func Only(where Where) Behaviour {
	return Behaviour{Name: "silence", Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		if where(q) {
			return as
		}
		e.Note("silence")
		return nil
	}}
}

// Silent answers nothing.
func Silent() Behaviour { return Only(func(Ask) bool { return false }) }

// Little gives n bytes at most of what it is about.
func Little(n int, where Where) Behaviour {
	return change("little", where, func(_ *Evil, _ Ask, a *Answer) bool {
		a.Data = a.Data[:min(len(a.Data), n)]
		return true
	})
}

// Late answers after a time.
func Late(d time.Duration) Behaviour {
	return change("late", Anything, func(_ *Evil, _ Ask, a *Answer) bool { a.After += d; return true })
}

// Holds says which ranges it has.
func Holds(have ...wire.Range) Behaviour {
	return change("have", Blocks, func(_ *Evil, _ Ask, a *Answer) bool { a.Have = have; return true })
}

// Everything claims to have whatever is asked for: zeros of some size.
func Everything(size int64) Behaviour {
	return Behaviour{Name: "everything", Answer: func(e *Evil, q Ask, _ []Answer) []Answer {
		e.Note("everything")
		eof := size
		if q.ID.Kind == chunk.BLAKE3Tree && size <= chunk.MaxSize {
			eof = chunk.ShapeOf(size).FileSize()
		}
		return []Answer{{Content: wire.Content{Offset: q.Offset, Data: make([]byte, min(q.Length, chunk.BlockSize)), EOF: eof}}}
	}}
}

// Forged answers in the name of another.
func Forged(from netip.AddrPort) Behaviour {
	return change("forged", Anything, func(_ *Evil, _ Ask, a *Answer) bool { a.From = from; return true })
}

// Mute returns no cookie.
func Mute() Behaviour { return Behaviour{Name: "mute", Set: func(e *Evil) { e.mute = true }} }

// StaleCookies returns the first cookie it got, for ever.
func StaleCookies() Behaviour {
	return Behaviour{Name: "stale", Set: func(e *Evil) { e.stale = true }}
}

// Mirror sends every datagram back as it came.
func Mirror() Behaviour {
	return Behaviour{Name: "mirror", Heard: func(e *Evil, d wire.Datagram) bool {
		e.Note("mirror")
		e.rawLocked(d.Addr, append([]byte(nil), d.Data...))
		return true
	}}
}

// Replay sends what it hears back again after a time, times over, beside its other answers.
func Replay(after time.Duration, times int) Behaviour {
	return Behaviour{Name: "replay", Heard: func(e *Evil, d wire.Datagram) bool {
		data, to := append([]byte(nil), d.Data...), d.Addr
		e.wg.Go(func() {
			for range times {
				if !e.Sleep(after) {
					return
				}
				e.mu.Lock()
				e.Note("replay")
				e.rawLocked(to, data)
				e.mu.Unlock()
			}
		})
		return false
	}}
}

// Flood sends datagrams at a rate of so many a second, until it is closed. make is told the number of each.
func Flood(to netip.AddrPort, rate int, make func(e *Evil, i int) []byte) Behaviour {
	return Behaviour{Name: "flood", Run: func(e *Evil) {
		const lumps = 200 // a second
		due := 0.0
		for i := 0; e.Sleep(time.Second / lumps); {
			e.mu.Lock()
			for due += float64(rate) / lumps; due >= 1; due-- {
				e.rawLocked(to, make(e, i))
				e.Note("flood")
				i++
			}
			e.mu.Unlock()
		}
	}}
}

// ForgeContent sends a Content in the name of another.
func (e *Evil) ForgeContent(from, to netip.AddrPort, id chunk.ID, data []byte, eof int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Note("forged")
	e.w.Inject(from, to, wire.AppendArray(nil, wire.Content{ID: []byte(id.String()), Data: data, EOF: eof}))
}
