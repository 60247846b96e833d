package wire

import (
	"net/netip"
	"slices"
	"time"
)

// Sender is who sent a datagram, as far as it is known.
type Sender struct {
	Addr   netip.AddrPort
	Via    uint8     // the socket it came in by, as in Datagram
	Proven bool      // this datagram carried our cookie, or came over loopback
	Room   int       // bytes of reply elements that may still be sent for this datagram, each counting one for its comma
	Size   int       // bytes of the datagram as received
	At     time.Time // when it was admitted

	Content bool // the datagram holds a Content, whatever else is in it

	// Of an element that lay in a letter, signed or sealed (package identity):
	Key    [32]byte // the Ed25519 key that wrote it; zero: it is not known who did
	Sealed bool     // it was encrypted for us, and is seen once; else anybody may have passed it on, at any time
	Within int      // letters around it
	Opened *int     // what opening letters of this datagram has cost so far, in computations; nil: the datagram has none
}

// A Handler is told about one element and returns its replies, which are encoded
// before the next handler is called. It may size them to from.Room. The element
// aliases the datagram and must not be kept.
type Handler interface {
	HandleMessage(from Sender, e Element) []Message
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(from Sender, e Element) []Message

// HandleMessage calls f.
func (f HandlerFunc) HandleMessage(from Sender, e Element) []Message { return f(from, e) }

// Mux hands elements to the handlers of their names. It is set up once and is
// then safe for concurrent use, as far as its handlers are.
type Mux struct {
	handlers map[string]Handler
	fallback Handler
}

// NewMux returns a Mux without handlers.
func NewMux() *Mux { return &Mux{handlers: map[string]Handler{}} }

// Handle registers the handler of a name. A second one for the same name is a
// programmer's error, and panics.
func (m *Mux) Handle(name string, h Handler) {
	if _, taken := m.handlers[name]; taken {
		panic("wire: second handler for " + name)
	}
	m.handlers[name] = h
}

// Fallback registers the handler of every element whose name has none.
func (m *Mux) Fallback(h Handler) { m.fallback = h }

// Names returns the names that have a handler, sorted.
func (m *Mux) Names() []string {
	names := make([]string, 0, len(m.handlers))
	for name := range m.handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// DispatchStats counts what became of a datagram's elements and their replies.
type DispatchStats struct {
	Handled int // elements whose name had a handler
	Unknown int // the others, which the fallback got if there is one
	Dropped int // replies that did not fit the room
}

// Dispatch calls the handlers of es in order and returns the encoded reply
// elements, {"Name":payload} each, in the order in which they were made. A reply
// that does not fit from.Room is dropped and the next one is tried; each handler
// sees what room is left to it. The replies belong to the caller.
func (m *Mux) Dispatch(from Sender, es []Element) (replies [][]byte, stats DispatchStats) {
	var buf []byte // the replies lie in it one after the other; when it moves, the old ones stay where they were
	for _, e := range es {
		h, ok := m.handlers[e.Name]
		if ok {
			stats.Handled++
		} else {
			stats.Unknown++
			if h = m.fallback; h == nil {
				continue
			}
		}
		for _, msg := range h.HandleMessage(from, e) {
			start := len(buf)
			buf = AppendMessage(buf, msg)
			if n := len(buf) - start + 1; n <= from.Room {
				from.Room -= n
				replies = append(replies, buf[start:len(buf):len(buf)])
			} else {
				stats.Dropped++
				buf = buf[:start]
			}
		}
	}
	return replies, stats
}
