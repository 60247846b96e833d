package transfer

import (
	"math/rand/v2"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// A download gives itself three handles for raw answers (wire/raw.go), of its content, of its tree, and of its content by
// the other hash. They are drawn at random, so that what comes late to an address that has had another download
// belongs to none.
const (
	handleTree = 1
	handleAlso = 2
	handleMask = 3 // the lowest bits say which of a download's it is
)

func newHandle(rng *rand.Rand) wire.Handle { return wire.Handle(rng.Uint32()) &^ handleMask }

func (d *Download) handleOf(tree, also bool) wire.Handle {
	switch {
	case tree:
		return d.handle | handleTree
	case also:
		return d.handle | handleAlso
	}
	return d.handle
}

// rawContent hands a raw answer to the download that gave the handle.
func (ds *Downloads) rawContent(from wire.Sender, m wire.Content, data []byte) {
	d, together := ds.gave(m.For)
	if together != nil {
		together.raw(from, m, data)
		return
	}
	if d == nil {
		return
	}
	a, ok := rawAnswer(from, m)
	if !ok || len(data) != m.Raw {
		d.strays.Add(1)
		return
	}
	if !d.straight(&a, data) {
		d.over.Add(1)
	}
}

// gave is who gave a handle: a download, or many at once; both are nil where nobody did.
func (ds *Downloads) gave(h wire.Handle) (*Download, *many) {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	return ds.handles[h&^handleMask], ds.manys[h>>16]
}

// rawAnswer is the arrival of a raw answer to a download. False: it is none.
func rawAnswer(from wire.Sender, m wire.Content) (a arrival, ok bool) {
	which := m.For & handleMask
	if m.Raw > maxAnswer || which == handleMask {
		return a, false
	}
	a = answered(from, m)
	a.raw, a.tree, a.also = true, which == handleTree, which == handleAlso
	return a, true
}

// Sequel hands on the raw answers that followed one which was handled, each the bytes behind those of the one before, and else
// like it: from one sender, of one length.
func (ds *Downloads) Sequel(from wire.Sender, m wire.Content, parts [][]byte) {
	d, together := ds.gave(m.For)
	if together != nil {
		for _, data := range parts {
			m.Offset += int64(m.Raw)
			together.raw(from, m, data)
		}
		return
	}
	if d == nil {
		return
	}
	a, ok := rawAnswer(from, m)
	if !ok || m.Raw == 0 {
		d.strays.Add(int64(len(parts)))
		return
	}
	a.offset, a.each, a.size = m.Offset+int64(m.Raw), m.Raw, from.Size*len(parts)
	if !d.straight(&a, parts...) {
		d.over.Add(int64(len(parts)))
	}
}

// raw hands a raw answer to the loop; what is dropped is asked for again.
func (m *many) raw(from wire.Sender, c wire.Content, data []byte) {
	if len(data) != c.Raw || c.Offset < 0 || c.Offset+int64(len(data)) > MaxSmall {
		return
	}
	a := answered(from, c)
	a.raw = true
	a.offset |= int64(c.For&slotMask) << slotShift
	m.inbox.put(&a, data)
}

// plainContent tells those who fetch many contents that somebody has answered in base64, to what nobody else has asked.
func (ds *Downloads) plainContent(from wire.Sender) {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	for _, m := range ds.manys {
		select {
		case m.plain <- from.Addr:
		default: // it says so again
		}
	}
}

// rawness is whether a peer answers raw.
type rawness struct {
	speaks bool // its last answers of some length were raw
	heard  bool // it has answered a question with the field, in whatever way
	plain  int  // long answers in a row that were in base64 though they were asked for raw
	asks   int  // questions while it had not
}

// plainLeast is after how many such answers a peer is not asked for raw ones any more, and strictEach how often one is that
// has answered other questions only: it may be a program that takes nothing but what it knows, and its other answers may
// have been lost.
const (
	plainLeast = 4
	strictEach = 64
)

// wantsRaw says whether the next question to s asks for a raw answer. Who has not answered at all is asked with the field
// twice, and twice without.
func (s *source) wantsRaw() bool {
	if !s.answers {
		return (s.seeks-1)&2 == 0
	}
	if !s.raw.heard {
		s.raw.asks++
		return s.raw.asks%strictEach == 0
	}
	return s.raw.speaks || s.raw.plain < plainLeast
}

// learnRaw is told of an answer. One that is short says nothing: to who has no proof all are in base64.
func (s *source) learnRaw(fl flight, a *arrival) {
	s.raw.heard = s.raw.heard || fl.raw
	switch {
	case a.raw:
		s.raw = rawness{speaks: true, heard: true}
		s.length.raw = true
		if fl.next && a.n == int(fl.n) && !fl.stamp.again && !s.each.never {
			s.each.known = true
		}
	case fl.raw && a.n == int(fl.n) && a.n > pollBytes:
		if s.raw.plain++; s.raw.plain >= plainLeast {
			s.raw.speaks, s.length.raw = false, false
		}
	}
}

// eachness is whether a peer answers a request for several parts by a datagram each. One that speaks raw need not know that,
// and answers by one datagram for all of them, which on most ways is fragments, or lost. So nothing but a try is asked for
// with it until a second part has come by itself: two parts, now and then.
type eachness struct {
	known bool // it does
	never bool // it answered several by one
	tried time.Time
}

const eachAgain = 100 * time.Millisecond // between two tries

// more says whether a request of so many parts that goes to the peer now may be for one more.
func (e *eachness) more(now time.Time, parts int64) bool {
	switch {
	case e.known:
		return true
	case e.never || parts > 1 || now.Sub(e.tried) < eachAgain:
		return false
	}
	e.tried = now
	return true
}

// takesApart says by how many bytes an answer, which came as one, is taken apart: by blocks, and one for several parts by these; that to a
// request for a run not at all.
func (s *source) takesApart(a *arrival) int {
	if u := s.parts.unitOut(a); u != nil && a.proven && a.offset == u.whole.at && a.n == len(u.data) && a.n > u.each {
		s.each.known, s.each.never = false, true
		return u.each
	}
	fl, ok := s.flights.out[request{tree: a.tree, at: a.offset}.key()]
	if ok && fl.run() {
		return maxAnswer
	}
	if !ok || !a.raw || !a.proven || !fl.part || a.n <= int(fl.n) || fl.each < leastEach || fl.stamp.again { // again: it may answer an earlier question for all
		return chunk.BlockSize
	}
	s.each.known, s.each.never = false, true
	return int(fl.each)
}

// encoded is how many bytes of the wire n bytes of content take, what is around them apart.
func (s *source) encoded(n int) int {
	if s.raw.speaks {
		return n
	}
	return n * 4 / 3
}

// part is how long a part that makes one packet is at most.
func (s *source) part() int {
	if s.raw.speaks {
		return rawPartBytes
	}
	return partBytes
}
