package swarm

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"time"

	"sharer/wire"
)

// pongWithin: a token that comes back later says nothing about the round trip any more.
const pongWithin = RTOCeiling

// Pong is a ping that came back.
type Pong struct {
	From  netip.AddrPort
	RTT   time.Duration
	Sent  time.Time // of the ping; two pongs with the same Sent are duplicates
	Bytes int       // size of the datagram that carried it
}

// Pings makes and checks tokens of pings. Nothing is kept: a token is the time at which it was
// sent, and a keyed hash of it and of the address that it was sent to. So it can be returned
// late or twice, but not made up, nor returned by another address.
type Pings struct {
	cookies *Cookies
	start   time.Time
	subs    Observers[Pong]
}

// NewPings signs with the key of c.
func NewPings(c *Cookies, now time.Time) *Pings { return &Pings{cookies: c, start: now} }

// Token is the value of a PleaseReturnThisMessage to an address: {"cookie":"32 hex digits"}.
func (p *Pings) Token(to netip.AddrPort, now time.Time) []byte {
	n := uint64(now.Sub(p.start))
	b := make([]byte, 0, 48)
	b = append(b, `{"cookie":"`...)
	b = hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, n))
	mac := p.cookies.Sign(to, n)
	b = append(b, mac[:]...)
	return append(b, `"}`...)
}

// Check reports the round trip if value is a token that was sent to from within the last minute.
func (p *Pings) Check(from netip.AddrPort, value []byte, now time.Time) (rtt time.Duration, ok bool) {
	text, ok := wire.CookieText(value)
	if !ok || len(text) != 2*cookieDigits {
		return 0, false
	}
	at, err := hex.DecodeString(text[:cookieDigits])
	if err != nil {
		return 0, false
	}
	n := binary.BigEndian.Uint64(at)
	want := p.cookies.Sign(from, n)
	if subtle.ConstantTimeCompare(want[:], []byte(text[cookieDigits:])) != 1 {
		return 0, false
	}
	rtt = now.Sub(p.start) - time.Duration(n)
	if rtt < 0 || rtt > pongWithin {
		return 0, false
	}
	return rtt, true
}

// Subscribe calls fn with each pong, until cancel, on the goroutine that received it: fn must
// return at once.
func (p *Pings) Subscribe(fn func(Pong)) (cancel func()) { return p.subs.Add(fn) }
