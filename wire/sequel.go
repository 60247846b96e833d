package wire

import (
	"bytes"
	"math"
	"strconv"
)

// Sequel knows raw answers that follow one another: those to a request with "each" are equal but for their offset, and many are read
// with one call. What it says of a datagram is what Split and ParseContent would say.
type Sequel struct {
	Content Content // the first one; the others have the offsets that follow it

	head   []byte // all of the datagram but its content
	at     int    // where the offset stands in it
	end    int
	next   int64
	digits [20]byte
}

// Begin is told of a datagram that Split took. False: no sequel to it is known. data must stay as it is until the last Next.
func (s *Sequel) Begin(data []byte, es []Element) bool {
	if len(es) == 0 || len(es[0].Rest) == 0 || len(es) > 2 || len(es) == 2 && es[1].Name != "AlwaysReturned" {
		return false
	}
	m, err := ParseContent(es[0].Payload)
	if err != nil || m.For == 0 || m.Raw != len(es[0].Rest) {
		return false
	}
	s.Content, s.head = m, data[:len(data)-m.Raw]
	var room [128]byte
	want := append(room[:0], `[{"Content":`...)
	want = appendInt(want, rawStart, int64(m.Raw))
	want = appendInt(want, `,"for":`, int64(m.For))
	want = append(want, `,"offset":`...)
	s.at = len(want)
	want = strconv.AppendInt(want, m.Offset, 10)
	s.end = len(want)
	s.next = m.Offset + int64(m.Raw)
	return len(s.head) > s.end && bytes.Equal(s.head[:s.end], want) && (s.head[s.end] == ',' || s.head[s.end] == '}')
}

// Next returns the content of a datagram that differs from the one before in nothing but its offset, which is where that one ended.
func (s *Sequel) Next(data []byte) (content []byte, ok bool) {
	h := len(s.head)
	if len(data) != h+s.Content.Raw || !bytes.Equal(data[s.end:h], s.head[s.end:]) || !bytes.Equal(data[:s.at], s.head[:s.at]) {
		return nil, false
	}
	if s.next > math.MaxInt64-MaxDatagram { // ParseContent refuses it
		return nil, false
	}
	if digits := strconv.AppendInt(s.digits[:0], s.next, 10); !bytes.Equal(data[s.at:s.end], digits) {
		return nil, false
	}
	s.next += int64(s.Content.Raw)
	return data[h:len(data):len(data)], true
}
