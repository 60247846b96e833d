package bridge

import (
	"strings"

	"sharer/wire"
)

// speech is what a guest says in one array.
type speech struct {
	letters []wire.Forward
	local   []byte // the array of what is for the node itself; nil: nothing
	ignored int    // elements that are none, or not for a guest to say
}

// hear reads an array. What it returns aliases text.
func hear(text []byte) (s speech, err error) {
	es, bad, err := wire.Split(nil, text)
	if err != nil {
		return speech{}, err
	}
	s.ignored = bad
	for _, e := range es {
		switch {
		case e.Name == wire.Forward{}.Name():
			l, err := wire.ParseForward(e.Payload)
			if err != nil {
				s.ignored++
				continue
			}
			s.letters = append(s.letters, l)
		case mayAsk(e.Name):
			if s.local == nil {
				s.local = append(make([]byte, 0, len(text)+1), '[')
			} else {
				s.local = append(s.local, ',')
			}
			s.local = append(s.local, e.Raw...)
		default:
			s.ignored++
		}
	}
	if s.local != nil {
		s.local = append(s.local, ']')
	}
	return s, nil
}

// mayAsk reports whether a guest may say a message to the node itself: questions, and what people say to each
// other. All else a node takes as the word of a peer, and that of loopback counts: Peers would have it probe any
// address, a cookie would have it speak for somebody else.
func mayAsk(name string) bool {
	switch name {
	case "PleaseAlwaysReturnThisMessage":
		return false
	case "ChatMessage", "GroupChatMessage", "GetLatest", "WhereAreThey":
		return true
	}
	return strings.HasPrefix(name, "Please")
}

// sendable reports whether messages are an array that may leave for somebody else, and whether anything is in
// it. Forward is said to the local node alone: another node on this machine, told to forward, would take ours for
// a program. What was forwarded is not forwarded again, or two nodes could pass it to and fro.
func sendable(messages []byte) (ok, empty bool) {
	es, bad, err := wire.Split(nil, messages)
	if err != nil {
		return false, false
	}
	for _, e := range es {
		if e.Name == (wire.Forward{}).Name() || e.Name == (wire.Forwarded{}).Name() {
			return false, false
		}
	}
	return bad == 0, len(es) == 0
}

// withoutForwarded returns an array without what was forwarded already; nil if nothing is left.
func withoutForwarded(array []byte) []byte {
	es, _, err := wire.Split(nil, array)
	if err != nil {
		return nil
	}
	kept := append(make([]byte, 0, len(array)), '[')
	for _, e := range es {
		if e.Name == (wire.Forwarded{}).Name() {
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, e.Raw...)
	}
	if len(kept) == 1 {
		return nil
	}
	return append(kept, ']')
}

// says reports whether an array has an element of that name.
func says(array []byte, name string) bool {
	es, _, err := wire.Split(nil, array)
	if err != nil {
		return false
	}
	for _, e := range es {
		if e.Name == name {
			return true
		}
	}
	return false
}

// bulk reports whether an array is what transfers consist of. It looks at the first element only, since it is asked
// of every datagram of a download.
func bulk(array []byte) bool {
	rest := array
	for _, c := range []byte(`[{"`) {
		for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r') {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0] != c {
			return false
		}
		rest = rest[1:]
	}
	for _, name := range []string{`Content"`, `PleaseSendContent"`, `MaybeTheyHaveSome"`} {
		if len(rest) >= len(name) && string(rest[:len(name)]) == name {
			return true
		}
	}
	return false
}

// forwarded is an arrival as guests are told of it.
func forwarded(a *Arrival, messages []byte) []byte {
	m := wire.Forwarded{Src: a.From, Messages: messages, Spoofed: a.Spoofable}
	zero := [32]byte{}
	if k := [32]byte(a.Key); k != zero {
		m.From = &k
	}
	if k := [32]byte(a.Maybe); k != zero {
		m.Maybe = &k
	}
	// 200 bytes around the text, and an escape before each of its quotes.
	return wire.AppendArray(make([]byte, 0, len(messages)*5/4+256), m)
}
