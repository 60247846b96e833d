package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// Habits of honest peers in the wild, by which others were tripped (wire.md section 11). Each counts what it does.

// Wary wants its cookie returned. Who asks without it gets so many bytes at most, "little", and one request in so many
// is dropped, "ignored".
func Wary(little, oneIn int) Behaviour {
	return Behaviour{Name: "wary", Set: func(e *Evil) { e.wary = true }, Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		switch {
		case q.Proven:
			return as
		case e.Draw(oneIn) == 0:
			e.Note("ignored")
			return nil
		}
		for i := range as {
			e.Note("little")
			as[i].Data = as[i].Data[:min(len(as[i].Data), little)]
		}
		return as
	}}
}

// Together answers all requests of a datagram in one; "too much" is counted, and nothing sent, when that would be more than
// so many bytes, "several" when there was more than one.
func Together(most int) Behaviour {
	return Behaviour{Name: "together", Set: func(e *Evil) { e.together = most }}
}

// maxUDP is the most that an IPv4 datagram of UDP holds, in bytes.
const maxUDP = 65507

// Deployed is the best-known node, as far as it gives contents.
func Deployed(contents ...*Content) []Behaviour {
	return []Behaviour{Truth(contents...), Wary(32, 27), Together(maxUDP)}
}

// Elsewhere names others for whatever is asked for that it has not.
func Elsewhere(peers ...netip.AddrPort) Behaviour {
	return Behaviour{Name: "elsewhere", Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		if len(as) == 0 {
			e.Note("elsewhere")
			e.sendLocked(q.From, wire.MaybeTheyHaveSome{ID: q.text, Peers: peers})
		}
		return as
	}}
}

// Grown is a download: how many bytes it has at the first question, and how many more each second from then on; and how many of the first
// were lost on their way, and come last.
type Grown struct {
	Begin, Rate, Lost int64
}

// Grows makes a peer that gives a download on: it has what is before its edge and nothing else. What was asked beyond it is "beyond", and
// "lost" what was asked for of those that were lost.
func Grows(g Grown) Behaviour {
	var first time.Time
	return Behaviour{Name: "grows", Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		if first.IsZero() {
			first = time.Now()
		}
		edge := (g.Begin + int64(time.Since(first).Seconds()*float64(g.Rate))) / chunk.BlockSize * chunk.BlockSize
		switch {
		case q.ID.Kind == chunk.BLAKE3Tree:
		case q.Offset+q.Length > max(edge, chunk.BlockSize):
			e.Note("beyond")
			return nil
		case q.Offset < g.Lost && len(as) > 0 && edge < as[0].EOF:
			e.Note("lost")
			return nil
		}
		return as
	}}
}

// Hints names others ahead of all content that it gives to the proven, and instead of content to others: a download that runs there.
func Hints(peers ...netip.AddrPort) Behaviour {
	return Behaviour{Name: "hints", Set: func(e *Evil) { e.wary = true }, Answer: func(e *Evil, q Ask, as []Answer) []Answer {
		hint := wire.MaybeTheyHaveSome{ID: q.text, Peers: peers}
		if !q.Proven {
			e.Note("instead")
			e.sendLocked(q.From, hint)
			return nil
		}
		for i := range as {
			e.Note("hints")
			as[i].Ahead = append(as[i].Ahead, hint)
		}
		return as
	}}
}

// Tells answers who asks for peers with these entries, which need not be addresses.
func Tells(entries ...string) Behaviour {
	list := []byte(fmt.Sprintf(`{"Peers":{"peers":["%s"]}}`, strings.Join(entries, `","`)))
	return Behaviour{Name: "tells", Heard: func(e *Evil, d wire.Datagram) bool {
		es, _, err := wire.Split(nil, d.Data)
		if err == nil && slices.ContainsFunc(es, func(el wire.Element) bool { return el.Name == "PleaseSendPeers" }) {
			e.Note("tells")
			data := append([]byte("["), list...)
			if p := e.theirs[d.Addr]; p != nil {
				data = wire.AppendMessage(append(data, ','), wire.AlwaysReturned{Value: p})
			}
			e.rawLocked(d.Addr, append(data, ']'))
		}
		return false
	}}
}

// Loops asks for a block again as soon as it has it, now and then twice, and once a second in any case: "loop" counts
// the answers.
func Loops(from netip.AddrPort, id chunk.ID) Behaviour {
	ask := wire.PleaseSendContent{ID: []byte(id.String()), Length: chunk.BlockSize}
	return Behaviour{
		Name: "loop",
		Run: func(e *Evil) {
			for e.Sleep(time.Second) {
				e.Send(from, ask)
			}
		},
		Heard: func(e *Evil, d wire.Datagram) bool {
			es, _, err := wire.Split(nil, d.Data)
			if err == nil && d.Addr == from && slices.ContainsFunc(es, func(el wire.Element) bool { return el.Name == "Content" }) {
				e.Note("loop")
				e.sendLocked(from, ask)
				if e.Draw(101) == 0 {
					e.sendLocked(from, ask)
				}
			}
			return false
		},
	}
}

// InOrder fetches as the best-known node does: first the tree, then the content. Of each it asks for the next 64 blocks of a content in order,
// and after a second in which nothing came for the first that is missing. Each block of the content is "got", of the tree "tree", each second in which nothing came
// "again".
func InOrder(from netip.AddrPort, c *Content) Behaviour {
	const window = 64             // blocks
	var next, asked, before int64 // blocks
	ids, sizes, name := []chunk.ID{c.TreeID(), c.BLAKE3()}, []int64{int64(len(c.Tree())), c.Size()}, "tree"
	ask := func(e *Evil, block int64) {
		e.sendLocked(from, wire.PleaseSendContent{ID: []byte(ids[0].String()), Offset: block * chunk.BlockSize, Length: chunk.BlockSize})
	}
	return Behaviour{
		Name: "in order",
		Run: func(e *Evil) {
			for e.Sleep(time.Second) {
				e.mu.Lock()
				if next == before {
					e.Note("again")
					asked = next + 1
					ask(e, next)
				}
				before = next
				e.mu.Unlock()
			}
		},
		Heard: func(e *Evil, d wire.Datagram) bool {
			es, _, err := wire.Split(nil, d.Data)
			if err != nil || d.Addr != from {
				return false
			}
			for _, el := range es {
				m, err := wire.ParseContent(el.Payload)
				if el.Name != "Content" || err != nil || string(m.ID) != ids[0].String() || m.Offset != next*chunk.BlockSize || m.DecodedLen() < int(min(chunk.BlockSize, sizes[0]-m.Offset)) {
					continue
				}
				e.Note(name)
				next++
				if next*chunk.BlockSize >= sizes[0] && len(ids) > 1 {
					next, asked, before, name = 0, 0, -1, "got"
					ids, sizes = ids[1:], sizes[1:]
				}
				for asked = max(asked, next); asked < min(next+window, (sizes[0]+chunk.BlockSize-1)/chunk.BlockSize); asked++ {
					ask(e, asked)
				}
			}
			return false
		},
	}
}
