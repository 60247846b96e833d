package catalog

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
	"sharer/wire"
)

func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 24254)
}

func id(i int) chunk.ID {
	return chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{byte(i), byte(i >> 8)}}
}

// tell lets a peer say something, as it would arrive.
func tell(t testing.TB, mux *wire.Mux, from netip.AddrPort, proven bool, ms ...wire.Message) {
	t.Helper()
	es, bad, err := wire.Split(nil, wire.AppendArray(nil, ms...))
	if err != nil || bad > 0 {
		t.Fatal(err, bad)
	}
	if replies, _ := mux.Dispatch(wire.Sender{Addr: from, Proven: proven}, es); len(replies) > 0 {
		t.Fatalf("it answers %v", replies)
	}
}

func opened(told func(chunk.ID, netip.AddrPort)) (*Catalog, *wire.Mux) {
	c, mux := New(told), wire.NewMux()
	c.Register(mux)
	return c, mux
}

func listOf(sizes ...int64) (l wire.ContentList) {
	for i, size := range sizes {
		l.Results = append(l.Results, wire.Listing{ID: []byte(id(i).String()), Size: size})
	}
	return l
}

func TestOffers(t *testing.T) {
	var holders []string
	c, mux := opened(func(id chunk.ID, a netip.AddrPort) {
		holders = append(holders, fmt.Sprint(id.Hash[0], a.Addr().As4()[3]))
	})
	now := time.Now()
	c.Ask(at(1), now)
	c.Ask(at(2), now)
	tell(t, mux, at(1), true, listOf(10, 20), wire.IJustSawThis{ID: []byte(id(0).String()), Length: 10})
	tell(t, mux, at(2), true, listOf(10), wire.YouShouldSeeThis{ID: []byte(id(3).String()), Length: 5})
	tell(t, mux, at(3), true, wire.IJustSawThis{ID: []byte(id(0).String()), Length: 11}) // at another size
	want := []Offer{
		{id(0), 10, Listed | Seen, []netip.AddrPort{at(1), at(2)}},
		{id(1), 20, Listed, []netip.AddrPort{at(1)}},
		{id(0), 11, Seen, []netip.AddrPort{at(3)}},
		{id(3), 5, Recommended, []netip.AddrPort{at(2)}},
	}
	if got := c.Offers(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if want := []string{"0 1", "1 1", "0 1", "0 2", "3 2", "0 3"}; !slices.Equal(holders, want) {
		t.Errorf("holders: %q, want %q", holders, want)
	}
	// What is seen next takes the place of what was seen before, but not of what is listed.
	tell(t, mux, at(1), true, wire.IJustSawThis{ID: []byte(id(7).String()), Length: 1})
	tell(t, mux, at(3), true, wire.IJustSawThis{ID: []byte(id(7).String()), Length: 1})
	want = []Offer{
		{id(0), 10, Listed, []netip.AddrPort{at(1), at(2)}},
		{id(7), 1, Seen, []netip.AddrPort{at(1), at(3)}},
		{id(1), 20, Listed, []netip.AddrPort{at(1)}},
		{id(3), 5, Recommended, []netip.AddrPort{at(2)}},
	}
	if got := c.Offers(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestNotBelieved(t *testing.T) {
	c, mux := opened(nil)
	for _, bad := range []string{"holiday.jpg", "blake3_tree_v2/" + strings.Repeat("a", 64), "stream/ab/cd", strings.Repeat("g", 64)} {
		tell(t, mux, at(1), true, wire.IJustSawThis{ID: []byte(bad), Length: 1})
	}
	tell(t, mux, at(2), false, wire.YouShouldSeeThis{ID: []byte(id(1).String()), Length: 1})
	tell(t, mux, at(2), true, listOf(1)) // not asked
	c.Ask(at(3), time.Now().Add(-askedFor-time.Second))
	tell(t, mux, at(3), true, listOf(1)) // too late
	c.Ask(at(4), time.Now())
	tell(t, mux, at(4), false, listOf(1)) // may be somebody else
	if got := c.Offers(); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	tell(t, mux, at(4), true, listOf(1))
	tell(t, mux, at(4), true, listOf(1, 2, 3)) // asked once
	if got := c.Offers(); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBounded: whatever strangers say, the caps hold, and what a peer said last is there.
func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, mux := New(nil), wire.NewMux()
		c.Register(mux)
		say := func(from netip.AddrPort, m wire.Message) {
			es, _, _ := wire.Split(nil, wire.AppendArray(nil, m))
			mux.Dispatch(wire.Sender{Addr: from, Proven: true}, es)
		}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			first, peers := rapid.IntRange(0, 200).Draw(t, "first"), rapid.IntRange(1, 200).Draw(t, "peers")
			n := rapid.IntRange(0, 300).Draw(t, "listed")
			var l wire.ContentList
			for i := range n {
				l.Results = append(l.Results, wire.Listing{ID: []byte(id(first + i).String()), Size: int64(i)})
			}
			for i := range peers {
				a := at(first + i)
				c.Ask(a, time.Now())
				say(a, l)
				say(a, wire.IJustSawThis{ID: []byte(id(60000).String()), Length: 1})
				say(a, wire.YouShouldSeeThis{ID: []byte(id(60001 + i%3).String()), Length: 1})
			}
			got, offers := c.Sizes()
			if got > MaxPeers || offers > MaxPeers*MaxOffers {
				t.Fatalf("%d peers, %d offers", got, offers)
			}
			last := at(first + peers - 1)
			told := 0
			for _, o := range c.Offers() {
				if slices.Contains(o.Peers, last) {
					told++
				}
			}
			if want := min(n, MaxOffers-2) + 2; told < want {
				t.Fatalf("%d offers of who told last, want %d", told, want)
			}
		}
	})
}
