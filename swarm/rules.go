package swarm

import "time"

// Reason is why a datagram is sent. Each one that leaves has one.
type Reason uint8

// The reasons.
const (
	Reply    Reason = iota // to a datagram that came in
	Request                // of a transfer, or a ping: that a user asked for, or of an uploader to a peer that fell silent
	Probe                  // of an address heard of; of a proven one: keepalive
	Given                  // an address that the user gave: --peer, bootstrap, configuration
	Announce               // on the LAN
	Tell                   // who we are, and what a name stands for now
	numReasons
)

var reasonNames = [numReasons]string{"reply", "request", "probe", "given", "announce", "tell"}

func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Proof says whether the address has shown that it receives what is sent to it.
type Proof uint8

// The proofs. For a reply it is the proof of the datagram that is answered, else that of the address.
const (
	Unproven Proof = iota
	Proven
)

func (p Proof) String() string {
	if p == Proven {
		return "proven"
	}
	return "unproven"
}

// Classes is a set of classes.
type Classes uint16

// Of makes a set.
func Of(cs ...Class) Classes {
	var s Classes
	for _, c := range cs {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Classes) Has(c Class) bool { return s>>c&1 == 1 }

// Limit bounds what may be sent. A zero field is no bound; the zero Limit allows everything.
type Limit struct {
	Ratio     int           // bytes out per byte of the datagram answered, wire.HeaderBytes counted on both sides
	Small     int           // payload bytes of one datagram
	First     time.Duration // silence after the first datagram; doubles with each one that is not answered
	Most      time.Duration // where the doubling ends
	Even      int           // to an address given by the user so many may go before it begins
	PerSecond int           // in all, addresses given by the user apart
	PerNet    int           // a second and /24 or /48, addresses given by the user apart
	PerDay    int           // in 24 hours to one address that never answered, addresses given by the user apart
	Every     time.Duration // between two to the same address
}

// Rule is one row of the table: what holds for a reason, a proof and some classes.
type Rule struct {
	Why     Reason
	Proof   Proof
	Classes Classes
	Limit   Limit
}

// SmallDatagram is the most that is sent unasked to an address without proof: it is not
// fragmented on any path that carries IPv6 (1280 - 40 - 8).
const SmallDatagram = 1232

// firstTries is how many questions for content go to an address that the user gave, a second apart, before the silence doubles: as TCP
// has it with its SYN. Losses come in runs, and on an idle path the next question is what such a run takes next.
const firstTries = 4

// KeepaliveGap is the least time between two keepalives of one peer (RFC 8085 section 3.5).
const KeepaliveGap = 15 * time.Second

// Rules is the gate's table. The first row that fits decides; where none fits nothing is sent.
// The gate obeys it, and checkers of simulations are made from it.
//
// A reply without proof answers a question, or asks one of a peer that seems to have moved (moved.go);
// both are bounded by Ratio.
//
// An answer without proof to a request pays for the next one: datagrams of at most twice its
// size leave at once, the Ratio of a reply; otherwise First and Most hold. Request and Given
// each keep their own silence.
var Rules = [...]Rule{
	{Reply, Proven, anyPeer, Limit{}},
	{Reply, Unproven, Of(Loopback), Limit{}},
	{Reply, Unproven, outside, Limit{Ratio: 2}},

	{Request, Proven, anyPeer, Limit{}}, // the congestion window of transfer
	{Request, Unproven, Of(Loopback), Limit{}},
	{Request, Unproven, Of(Private, LinkLocal), Limit{Small: SmallDatagram, First: time.Second, Most: time.Minute, Even: firstTries, PerSecond: 10, PerDay: 3}},
	{Request, Unproven, Of(Public), Limit{Small: SmallDatagram, First: time.Second, Most: time.Minute, Even: firstTries, PerSecond: 10, PerNet: 1, PerDay: 3}},

	{Probe, Proven, anyPeer, Limit{Every: KeepaliveGap}},
	{Probe, Unproven, near, Limit{Small: SmallDatagram, First: 4 * time.Second, Most: 32 * time.Second, PerSecond: 10, PerDay: 3}},
	{Probe, Unproven, Of(Public), Limit{Small: SmallDatagram, First: 4 * time.Second, Most: 32 * time.Second, PerSecond: 10, PerNet: 1, PerDay: 3}},

	{Given, Proven, anyPeer, Limit{Every: KeepaliveGap}},
	{Given, Unproven, anyPeer, Limit{Small: SmallDatagram, First: time.Second, Most: time.Minute}},

	{Announce, Unproven, Of(Multicast, Broadcast), Limit{Small: 512, Every: time.Minute}},

	{Tell, Proven, anyPeer, Limit{}},
	{Tell, Unproven, Of(Loopback), Limit{}},
}

const (
	near    = Classes(1<<Private | 1<<LinkLocal | 1<<Loopback)
	outside = Classes(1<<Public | 1<<Private | 1<<LinkLocal)
	anyPeer = near | outside
)

// RuleFor finds the row that decides; ok is false where nothing may be sent.
func RuleFor(why Reason, proof Proof, class Class) (l Limit, ok bool) {
	for i := range Rules {
		r := &Rules[i]
		if r.Why == why && r.Proof == proof && r.Classes.Has(class) {
			return r.Limit, true
		}
	}
	return Limit{}, false
}

// Refusal is why something was not sent.
type Refusal uint8

// The refusals.
const (
	Allowed         Refusal = iota
	RefusedClass            // no row of the table: multicast, broadcast, port 0 …
	RefusedSelf             // one of our own addresses
	RefusedBanned           // banned
	RefusedIsolated         // outside of loopback and LAN, and not given, in isolated mode
	RefusedUnproven         // a reply of a Batch, or what is told unasked, to an address without standing
	RefusedUnknown          // Given, but nobody gave it
	RefusedSilence          // backing off: First, Most
	RefusedPace             // PerSecond, PerNet
	RefusedDay              // PerDay
	RefusedEvery            // Every
	RefusedFull             // the table has no room for the address
	RefusedSize             // larger than the limit
	RefusedLimit            // a reply: the user's limit of what leaves has no room for it
	numRefusals
)

var refusalNames = [numRefusals]string{"allowed", "class", "self", "banned", "isolated", "unproven", "unknown", "silence", "pace", "day", "every", "full", "size", "limit"}

func (r Refusal) String() string {
	if r < numRefusals {
		return refusalNames[r]
	}
	return "unknown"
}
