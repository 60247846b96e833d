package netsim

import (
	"math/rand/v2"
	"time"
)

// Line is one direction of a link for whoever carries single IP packets himself, by the laws that hold in the network: what is
// simulated and what is impaired for real then differ in nothing but who asks. It is not for concurrent use.
type Line struct {
	pipe pipe
	link Link
}

// Passage is the fate of one packet.
type Passage struct {
	Outcome   Outcome       // Delivered, Lost, Overflow, Blocked, Down
	Left      time.Duration // when its last byte has left the queue
	Due       time.Duration // when it arrives; set where Outcome is Delivered
	InBurst   bool          // lost with the link in its bad state
	Reordered bool
	Twice     bool
}

// NewLine makes a line at rest. Times are since it was made.
func NewLine(seed uint64, l Link) *Line {
	line := &Line{link: l}
	line.pipe.source = *rand.NewPCG(seed, sharedSalt)
	line.pipe.rng = rand.New(&line.pipe.source)
	return line
}

// Set changes the link; what waits has its times already.
func (l *Line) Set(link Link) { l.link = link }

// Link is how it is now.
func (l *Line) Link() Link { return l.link }

// Pass takes a packet of size bytes, IP header counted; now must not go back. Link.MTU and Link.Corrupt are the caller's.
func (l *Line) Pass(now time.Duration, size int, fragment bool) Passage {
	if l.link.dark(now) {
		return Passage{Outcome: Down}
	}
	r := l.pipe.pass(&l.link, now, size, 1, size, fragment)
	return Passage{r.outcome, r.left, max(r.due, now), r.inBurst, r.reordered, r.twice}
}
