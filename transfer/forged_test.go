package transfer

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/wire"
)

// blames is Peers that notes who is punished.
type blames struct {
	nobody
	mu  sync.Mutex
	who map[netip.AddrPort]int
}

func (b *blames) Punish(a netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.who[a]++
}

// spoil gives the download what a peer that means harm might, in the place of its answer to m: from its own address with proof, or from another's without.
func (q *quickNet) spoil(rng *rand.Rand, at, other netip.AddrPort, m wire.PleaseSendContent) {
	from := wire.Sender{Addr: at, Proven: true, At: time.Now()}
	if rng.IntN(3) == 0 {
		from.Addr, from.Proven = other, false
		q.mu.Lock()
		if p := q.peers[other]; p.latest.Raw != 0 { // to what that one was asked for
			m = p.latest
		}
		q.mu.Unlock()
	}
	each := int(max(m.Each, 1000))
	c := wire.Content{For: m.Raw, Offset: m.Offset, EOF: int64(len(q.data)), Raw: each}
	n := 1
	kind := rng.IntN(9)
	if q.gentle && kind == 2 {
		kind = 7
	}
	switch kind {
	case 0:
		c.Raw = each + 1 + rng.IntN(3000)
	case 1:
		c.Raw = rng.IntN(each)
	case 2:
		c.EOF = rng.Int64N(1 << 40)
	case 3:
		c.Have = []wire.Range{{From: rng.Int64N(1 << 25), To: 1 << 25}}
	case 4:
		c.Offset += rng.Int64N(40960)
	case 5:
		c.For |= wire.Handle(rng.IntN(4))
	case 6:
		c.Offset = rng.Int64() - rng.Int64()
	case 7:
		n = 40
	case 8:
		c.Raw = int(min(m.Length, maxAnswer))
	}
	data := make([]byte, c.Raw)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	if q.gentle && c.Offset >= 0 && c.Offset < int64(len(q.data)) {
		copy(data, q.data[c.Offset:])
	}
	from.Size = c.Raw + 100
	q.ds.rawContent(from, c, data)
	var parts [][]byte
	for range n - 1 {
		parts = append(parts, data)
	}
	if n > 1 && from.Proven && c.Raw > 0 {
		q.ds.Sequel(from, c, parts)
	}
}

// A peer that spoils units in every way, and forges answers of an honest one without its cookie, costs the honest one nothing: all comes, and who is
// punished is who lied.
func TestSpoiledUnits(t *testing.T) {
	honest, evil := netip.MustParseAddrPort("192.0.2.1:9"), netip.MustParseAddrPort("192.0.2.2:9")
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			q := newQuick(t, seed, honest.String(), evil.String())
			q.spoils = map[netip.AddrPort]int{evil: 1 + int(seed%4)*7}
			q.gentle = seed%2 == 1
			b := &blames{who: map[netip.AddrPort]int{}}
			stats, took, err := q.fetch(t, Config{Peers: b}, nil)
			if err != nil || b.who[honest] > 0 || took > 5*time.Second {
				t.Errorf("seed %d: %v in %v, punished %v, %+v", seed, err, took, b.who, stats)
			}
		})
	}
}
