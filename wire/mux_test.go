package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// reply is a ChatMessage whose element has so many bytes.
func reply(size int) Message {
	return ChatMessage{Message: strings.Repeat("x", size-len(`{"ChatMessage":{"message":""}}`))}
}

func split(t *testing.T, data string) []Element {
	t.Helper()
	es, bad, err := Split(nil, []byte(data))
	if err != nil || bad > 0 {
		t.Fatalf("%s: %d bad, %v", data, bad, err)
	}
	return es
}

func TestMuxOrder(t *testing.T) {
	var calls []string
	note := func(tag string) Handler {
		return HandlerFunc(func(from Sender, e Element) []Message {
			calls = append(calls, fmt.Sprintf("%s:%s=%s", tag, e.Name, e.Payload))
			return []Message{
				ReturnedMessage{e.Payload},
				ChatMessage{Message: tag},
			}
		})
	}
	m := NewMux()
	m.Handle("B", note("b"))
	m.Handle("A", note("a"))
	m.Fallback(note("rest"))
	if got := m.Names(); !slices.Equal(got, []string{"A", "B"}) {
		t.Errorf("names: %v", got)
	}
	replies, stats := m.Dispatch(Sender{Room: 1000}, split(t, `[{"A":1},{"X":{"y": 2}},{"B":3},{"A":4}]`))
	if want := []string{"a:A=1", `rest:X={"y": 2}`, "b:B=3", "a:A=4"}; !slices.Equal(calls, want) {
		t.Errorf("calls: %q", calls)
	}
	if want := (DispatchStats{Handled: 3, Unknown: 1}); stats != want {
		t.Errorf("stats: %+v", stats)
	}
	want := []string{
		`{"ReturnedMessage":1}`, `{"ChatMessage":{"message":"a"}}`,
		`{"ReturnedMessage":{"y": 2}}`, `{"ChatMessage":{"message":"rest"}}`,
		`{"ReturnedMessage":3}`, `{"ChatMessage":{"message":"b"}}`,
		`{"ReturnedMessage":4}`, `{"ChatMessage":{"message":"a"}}`,
	}
	var got []string
	for _, r := range replies {
		got = append(got, string(r))
	}
	if !slices.Equal(got, want) {
		t.Errorf("replies: %q", got)
	}
	_ = append(replies[0], "xxxx"...)
	if string(replies[1]) != want[1] {
		t.Error("a reply that grows runs into the next one")
	}
}

func TestMuxRoom(t *testing.T) {
	for _, c := range []struct {
		room    int
		sizes   []int // of the replies, one for each element
		sees    []int // the room that each handler sees
		sent    []int
		dropped int
	}{
		{room: 0, sizes: []int{30}, sees: []int{0}, dropped: 1},
		{room: -5, sizes: []int{30}, sees: []int{-5}, dropped: 1},
		{room: 30, sizes: []int{30}, sees: []int{30}, dropped: 1},
		{room: 31, sizes: []int{30}, sees: []int{31}, sent: []int{30}},
		{room: 62, sizes: []int{30, 30}, sees: []int{62, 31}, sent: []int{30, 30}},
		{room: 61, sizes: []int{30, 30}, sees: []int{61, 30}, sent: []int{30}, dropped: 1},
		// What does not fit makes room for what does.
		{room: 100, sizes: []int{40, 5000, 58, 50, 30}, sees: []int{100, 59, 59, 0, 0}, sent: []int{40, 58}, dropped: 3},
	} {
		var sees []int
		i := 0
		m := NewMux()
		m.Handle("A", HandlerFunc(func(from Sender, e Element) []Message {
			sees = append(sees, from.Room)
			i++
			return []Message{reply(c.sizes[i-1])}
		}))
		es := split(t, "["+strings.TrimSuffix(strings.Repeat(`{"A":{}},`, len(c.sizes)), ",")+"]")
		replies, stats := m.Dispatch(Sender{Room: c.room}, es)
		var sent []int
		for _, r := range replies {
			sent = append(sent, len(r))
		}
		if !slices.Equal(sent, c.sent) || !slices.Equal(sees, c.sees) || stats.Dropped != c.dropped {
			t.Errorf("room %d: sent %v, seen %v, %+v", c.room, sent, sees, stats)
		}
	}
}

func TestMuxUnknown(t *testing.T) {
	m := NewMux()
	replies, stats := m.Dispatch(Sender{Room: 1000}, split(t, `[{"X":1},{"Y":2}]`))
	if len(replies) > 0 || stats != (DispatchStats{Unknown: 2}) {
		t.Errorf("%q, %+v", replies, stats)
	}
}

func TestMuxRefusesTwoHandlers(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	m := NewMux()
	h := HandlerFunc(func(Sender, Element) []Message { return nil })
	m.Handle("A", h)
	m.Handle("A", h)
}
