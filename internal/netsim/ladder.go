package netsim

import "time"

// Rung is a kind of link as users have them.
type Rung struct {
	Name string
	Link Link // one direction; the other is the same
}

// The ladder of links on which transfers are judged (performance.md): rate, round trip, bursty loss by
// packet, Ethernet's MTU, and a queue of 100 ms, but of two datagrams with a block at least.
var Ladder = []Rung{
	{"L0 good-wifi", rung(100, 16*time.Millisecond, 0.001)},
	{"L1 congested-wifi", rung(25, 40*time.Millisecond, 0.01)},
	{"L2 weak-4g", rung(8, 90*time.Millisecond, 0.02)},
	{"L3 slow-3g", rung(3, 200*time.Millisecond, 0.03)},
	{"L4 congested-cellular", rung(1.5, 300*time.Millisecond, 0.05)},
	{"L5 very-bad", rung(0.8, 450*time.Millisecond, 0.08)},
	{"L6 satellite", rung(25, 600*time.Millisecond, 0.015)},
}

// rungBurst is the mean length of a run of losses on the ladder, in packets: most losses of radio
// links come in twos and threes, and a datagram of four fragments is hit once instead of twice.
const rungBurst = 2.5

func rung(mbit float64, roundTrip time.Duration, loss float64) Link {
	rate := mbit * 1e6 / 8
	return Link{Rate: rate, Queue: max(int(rate/10), 12_000), Delay: roundTrip / 2, Loss: loss, Burst: rungBurst, MTU: 1500}
}
