package node

import (
	"math/rand/v2"
	"net/netip"
	"sync"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/wire"
)

// evil is a peer that does what its script says: it speaks the wire well enough to
// be believed (it returns cookies unless told otherwise) and answers requests for
// content as it likes.
type evil struct {
	conn   *netsim.Conn
	at     netip.AddrPort
	answer func(e *evil, m wire.PleaseSendContent, id chunk.ID) []wire.Content
	mute   bool // never returns a cookie
	done   chan struct{}

	mu     sync.Mutex
	theirs map[netip.AddrPort][]byte
	rng    *rand.Rand
	lies   int // answers that were not the truth
	asked  int
}

func (w *world) evil(answer func(*evil, wire.PleaseSendContent, chunk.ID) []wire.Content) *evil {
	at := w.addr()
	e := &evil{
		conn: w.Host(at), at: at, answer: answer, done: make(chan struct{}),
		theirs: make(map[netip.AddrPort][]byte), rng: rand.New(rand.NewPCG(uint64(w.hosts), 7)),
	}
	go e.run()
	return e
}

func (e *evil) close() {
	if err := e.conn.Close(); err != nil {
		panic(err)
	}
	<-e.done
}

func (e *evil) run() {
	defer close(e.done)
	for {
		ds, err := e.conn.ReadBatch()
		if err != nil {
			return
		}
		for _, d := range ds {
			e.datagram(d)
		}
	}
}

func (e *evil) datagram(d wire.Datagram) {
	es, _, err := wire.Split(nil, d.Data)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, el := range es {
		if el.Name == "PleaseAlwaysReturnThisMessage" {
			e.theirs[d.Addr] = append([]byte(nil), el.Payload...)
		}
	}
	for _, el := range es {
		switch el.Name {
		case "PleaseReturnThisMessage":
			e.send(d.Addr, wire.ReturnedMessage{Value: el.Payload})
		case "PleaseSendContent":
			m, err := wire.ParsePleaseSendContent(el.Payload)
			id, iderr := chunk.ParseID(m.ID)
			if err != nil || iderr != nil {
				continue
			}
			e.asked++
			for _, c := range e.answer(e, m, id) {
				if c.ID == nil {
					c.ID = m.ID
				}
				e.send(d.Addr, c)
			}
		}
	}
}

func (e *evil) send(to netip.AddrPort, m wire.Message) {
	b := wire.AppendMessage([]byte{'['}, m)
	if p := e.theirs[to]; p != nil && !e.mute {
		b = wire.AppendMessage(append(b, ','), wire.AlwaysReturned{Value: p})
	}
	b = append(b, ']')
	if _, err := e.conn.WriteBatch([]wire.Datagram{{Addr: to, Data: b}}); err != nil {
		panic(err)
	}
}

func (e *evil) lied() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lies
}

// truth is what an honest peer would answer.
func truth(c content, tree []byte, m wire.PleaseSendContent, id chunk.ID) wire.Content {
	data := c.data
	if id.Kind == chunk.BLAKE3Tree {
		data = tree
	}
	from := min(m.Offset, int64(len(data)))
	to := min(from+min(m.Length, 4096), int64(len(data)))
	return wire.Content{Offset: m.Offset, Data: data[from:to], EOF: int64(len(data))}
}

// flip changes one bit of a copy.
func (e *evil) flip(data []byte) []byte {
	bad := append([]byte(nil), data...)
	if len(bad) > 0 {
		bad[e.rng.IntN(len(bad))] ^= 1 << e.rng.IntN(8)
		e.lies++
	}
	return bad
}

// withoutLeaves is the tree file of data without its last level: a consistent tree
// of half the height.
func withoutLeaves(tree []byte, blocks int64) []byte {
	return tree[:int64(len(tree))-32*blocks]
}
