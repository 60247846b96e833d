package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// fill repeats unit between head and tail, up to the largest datagram.
func fill(head, unit, tail string) string {
	n := (MaxDatagram - len(head) - len(tail)) / len(unit)
	return head + strings.Repeat(unit, n) + tail
}

// lists is a datagram of MaxElements messages that hold arrays of unit.
func lists(head, unit, tail string) string {
	n := (MaxDatagram/MaxElements - len(head) - len(tail) - 1) / (len(unit) + 1)
	one := head + unit + strings.Repeat(","+unit, n-1) + tail
	return "[" + one + strings.Repeat(","+one, MaxElements-1) + "]"
}

// manyNames has as many fields as are allowed in each of its elements, with
// names of one length that differ at the end, so that each is compared with each.
func manyNames() string {
	var b strings.Builder
	for f := range maxFields {
		fmt.Fprintf(&b, `"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa%02d":0,`, f)
	}
	one := `{"Content":{` + strings.TrimSuffix(b.String(), ",") + `}}`
	return "[" + strings.Repeat(one+",", MaxDatagram/(len(one)+1)-1) + one + "]"
}

// bombs are datagrams made to be dear (reliability.md, A13, and what we thought
// of besides). es and bad are what Split must say of them, unless err is set.
var bombs = []struct {
	name, data string
	es, bad    int
	err        error
	refused    bool // by the decoder of its first element
}{
	{name: "brackets", data: fill("", "[", ""), err: ErrTooDeep},
	{name: "objects, no array", data: strings.Repeat(`{"a":`, 10000), err: ErrNotArray},
	{name: "objects", data: fill("[", `{"a":`, ""), err: ErrTooDeep},
	{name: "tiny messages", data: fill("[{}", ",{}", "]"), bad: 21835},
	{name: "tiny named", data: fill(`[{"":0}`, `,{"":0}`, "]"), es: 64, bad: 9358 - 64},
	{name: "commas", data: fill("[", ",", "]"), bad: MaxDatagram - 1},
	{name: "escaped nul", data: fill(`[{"ChatMessage":{"message":"`, `\u0000`, `"}}]`), es: 1},
	{name: "escaped quotes", data: fill(`[{"ChatMessage":{"message":"`, `\"`, `"}}]`), es: 1},
	{name: "escaped quotes, then bad", data: fill(`[{"ChatMessage":["message":"`, `\"`, `"]}]`), bad: 1},
	{name: "backslashes", data: fill(`[{"ChatMessage":{"message":"`, `\\`, `"}}]`), es: 1},
	{name: "surrogates", data: fill(`[{"ChatMessage":{"message":"`, `\ud83d\ude00`, `"}}]`), es: 1},
	{name: "two-byte runes", data: fill(`[{"ChatMessage":{"message":"`, "é", `"}}]`), es: 1},
	{name: "bad at the end", data: fill(`[{"ChatMessage":{"message":"`, "é", "\xff"+`"}}]`), bad: 1},
	{name: "invalid UTF-8", data: fill(`[{"ChatMessage":{"message":"`, "\xff", `"}}]`), bad: 1},
	{name: "duplicate keys", data: fill(`[{"Content":{"a":0`, `,"a":0`, `}}]`), es: 1, refused: true},
	{name: "many names", data: manyNames(), es: 64, bad: 10, refused: true},
	{name: "long integer", data: fill(`[{"PleaseSendContent":{"id":"x","length":1,"offset":`, "9", `}}]`), es: 1, refused: true},
	{name: "exponent", data: `[{"PleaseSendContent":{"id":"x","offset":1e999,"length":1}}]`, es: 1, refused: true},
	{name: "nul", data: fill("[", "\x00", "]"), bad: 1},
	{name: "nul after", data: fill("[]", "\x00", ""), err: ErrNotArray},
	{name: "bom", data: fill("\uFEFF[", " ", "]"), err: ErrNotArray},
	{name: "spaces", data: fill("[", " ", "]")},
	{name: "long name", data: fill(`[{"`, "n", `":0}]`), es: 1},
	{name: "peers", data: fill(`[{"Peers":{"peers":["1.2.3.4:5"`, `,"1.2.3.4:5"`, `]}}]`), es: 1},
	{name: "no peers", data: fill(`[{"Peers":{"peers":[0`, `,"[::x]:1"`, `]}}]`), es: 1},
	{name: "zeros", data: fill(`[{"PleaseReturnThisMessage":[0`, ",0", `]}]`), es: 1},
	{name: "empty arrays", data: fill(`[{"PleaseReturnThisMessage":[0`, ",[]", `]}]`), es: 1},
	{name: "listings", data: fill(`[{"ContentList":{"results":[0`, `,["",1]`, `]}}]`), es: 1},
	{name: "lists of listings", data: lists(`{"ContentList":{"results":[`, `["a",1]`, `]}}`), es: 64},
	{name: "lists of IPv4", data: lists(`{"Peers":{"peers":[`, `"1.2.3.4:5"`, `]}}`), es: 64},
	{name: "lists of IPv6", data: lists(`{"Peers":{"peers":[`, `"[::]:1"`, `]}}`), es: 64},
	{name: "lists of zones", data: lists(`{"Peers":{"peers":[`, `"[::1%a]:1"`, `]}}`), es: 64},
	{name: "lists of ranges", data: lists(`{"Content":{"id":"x","offset":0,"base64":"","have":[`, `[0,1]`, `]}}`), es: 64},
}

// take does with a datagram what a node does: split, and decode what it knows.
// It returns the error of the first element's decoder.
func take(es []Element, data []byte) (_ []Element, bad int, refused, err error) {
	es, bad, err = Split(es[:0], data)
	for i, e := range es {
		var err error
		switch e.Name {
		case "Content":
			_, err = ParseContent(e.Payload)
		case "Peers":
			_, err = ParsePeers(e.Payload)
		case "ContentList":
			_, err = ParseContentList(e.Payload)
		case "ChatMessage":
			_, err = ParseChatMessage(e.Payload)
		case "PleaseSendContent":
			_, err = ParsePleaseSendContent(e.Payload)
		case "PleaseReturnThisMessage":
			_, err = ParsePleaseReturnThisMessage(e.Payload)
		}
		if i == 0 {
			refused = err
		}
	}
	return es, bad, refused, err
}

// TestBombs checks what becomes of each bomb, and that none is dear. The limit
// is five times that of A13, for slow machines and the race detector, in time of the
// processor, which other work does not take; the quickest of many attempts counts,
// so that only a real slowness can fail.
func TestBombs(t *testing.T) {
	const limit = time.Millisecond * raceFactor
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) {
			data := []byte(b.data)
			es := make([]Element, 0, MaxElements)
			quickest := time.Hour
			for n := 0; n < 100 && quickest > limit; n++ {
				var bad int
				var refused, err error
				start := cpuTime()
				es, bad, refused, err = take(es, data)
				quickest = min(quickest, cpuTime()-start)
				if err != b.err || len(es) != b.es || bad != b.bad || (refused != nil) != b.refused {
					t.Fatalf("%d elements, %d bad, %v, decoder: %v", len(es), bad, err, refused)
				}
			}
			if quickest > limit {
				t.Errorf("took %v of the processor, more than %v", quickest, limit)
			}
		})
	}
}

func BenchmarkBombs(b *testing.B) {
	for _, bomb := range bombs {
		b.Run(bomb.name, func(b *testing.B) {
			data := []byte(bomb.data)
			es := make([]Element, 0, MaxElements)
			b.ReportAllocs()
			for b.Loop() {
				es, _, _, _ = take(es, data)
			}
		})
	}
}
