package transfer

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
)

// roomy is a control of a path that holds so many bytes.
type roomy struct {
	control
	holds int
}

func (r *roomy) fits() int { return r.holds }

// TestCopyLast: when nothing else is to be asked and the path is nearly empty, what was asked before is asked for in three copies, a
// quarter of a round trip apart; what was not, or on a path that is in use, or of who is silent, is not.
func TestCopyLast(t *testing.T) {
	const rtt = 400 * time.Millisecond
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		name          string
		again         bool
		holds, silent int
		want          []time.Duration // after the request
	}{
		{name: "asked again", again: true, holds: 100_000, want: []time.Duration{rtt / 4, rtt / 2, 3 * rtt / 4}},
		{name: "asked once", holds: 100_000},
		{name: "in use", again: true, holds: 4000},
		{name: "not known", again: true},
		{name: "silent", again: true, holds: 100_000, silent: 2},
	} {
		d := &Download{cfg: Config{Batch: &written{}}, size: 1 << 20, proven: true, contID: []byte("blake3/" + strings.Repeat("0", 64))}
		s := newSource(0, netip.MustParseAddrPort("192.0.2.1:5"), &roomy{newModel(maxWindow), tc.holds})
		s.answers, s.proven, s.claim, s.silent = true, true, d.size, tc.silent
		s.rtt.Sample(rtt)
		r := request{at: 7 * chunk.BlockSize}
		fl := flight{n: 1024, cost: 1200, part: true, each: 1024, sent: start.Add(-time.Second)}
		if tc.again {
			s.flights.add(r, fl)
		}
		fl.sent = start
		s.flights.add(r, fl)
		var got []time.Duration
		for at := time.Duration(0); at < 2*rtt; at += 10 * time.Millisecond {
			before := d.stats.Requests
			d.copyLast(s, start.Add(at))
			if d.stats.Requests > before {
				got = append(got, at)
			}
		}
		d.closeAsk(start)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: copies after %v, want %v", tc.name, got, tc.want)
		}
		if asked := d.cfg.Batch.(*written).sent; len(asked) != len(tc.want) {
			t.Errorf("%s: %d datagrams, want %d", tc.name, len(asked), len(tc.want))
		}
		if s.flights.live != 1 || s.flights.bytes != 1200 {
			t.Errorf("%s: %d are out with %d bytes, want one", tc.name, s.flights.live, s.flights.bytes)
		}
	}
}
