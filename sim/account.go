package sim

import (
	"slices"
	"time"

	"sharer/swarm"
)

// account is one address as a node's ledger has it.
type account struct {
	cookies  [][]byte // of the node, that went out to it last
	tokens   [][]byte // of pings, likewise
	standing bool     // one came back
	spoke    bool
	credits  []credit // datagrams that came, each good for one reply
	owed     [len(owedFor)]int
	request  silence
	probe    silence
	paid     int // bytes with headers that an answer without proof pays for
	tries    []time.Time
	kept     time.Time // the last keepalive
	missed   int       // keepalives since it last spoke
	in, out  int       // bytes with headers; out: of replies without proof
}

// credit is what one datagram is worth.
type credit struct {
	at    time.Time
	bytes int  // of the reply, with headers
	asked bool // it held a question, without proof: only then may what asks nothing answer it
}

// silence is what First and Most of a rule ask for.
type silence struct {
	next time.Time
	wait time.Duration
	n    int // sent since it began
}

func (p *account) earn(c credit) {
	if len(p.credits) == keptCredits {
		// In a flood of noise those that ask something are the ones that are answered.
		i := max(slices.IndexFunc(p.credits, func(c credit) bool { return !c.asked }), 0)
		p.credits = slices.Delete(p.credits, i, i+1)
	}
	p.credits = append(p.credits, c)
}

// spend takes the smallest credit that a datagram fits, so that the larger ones are left for others.
func (p *account) spend(d *datagram, asked bool) bool {
	best := -1
	for i, c := range p.credits {
		if d.at.Sub(c.at) <= replyWithin && c.bytes >= d.size && (c.asked || !asked) && (best < 0 || c.bytes < p.credits[best].bytes) {
			best = i
		}
	}
	if best >= 0 {
		p.credits = slices.Delete(p.credits, best, best+1)
	}
	return best >= 0
}

// replied judges what asks nothing.
func (p *account) replied(d *datagram) (wrong string) {
	if p.covers(d) {
		return ""
	}
	p.out += d.size
	if p.spend(d, true) {
		return ""
	}
	return sprint(d.to, " is sent a reply of ", d.size, " bytes, and no datagram of its own without reply is worth that much; with proof it asked nothing of the kind; so far ",
		p.in, " bytes in and ", p.out, " out without proof")
}

// covers reports whether everything in a reply answers what was asked with proof, and books that.
func (p *account) covers(d *datagram) bool {
	owed := p.owed
	some, content := false, false
	for i := range d.es {
		content = content || d.es[i].Name == "Content"
	}
	for i := range d.es {
		name := d.es[i].Name
		switch {
		case name == "AlwaysReturned" || name == "PleaseAlwaysReturnThisMessage":
			continue
		case name == "MaybeTheyHaveSome" && content: // it rides along
			continue
		}
		found := false
		for k := range owedFor {
			if slices.Contains(owedFor[k].answers, name) && owed[k] > 0 {
				owed[k]--
				found, some = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	if some {
		p.owed = owed
	}
	return some
}

// questionedProven judges what asks an address that has proven itself.
func (p *account) questionedProven(d *datagram, why swarm.Reason, class swarm.Class) (wrong string) {
	lim, ok := swarm.RuleFor(why, swarm.Proven, class)
	switch {
	case !ok:
		return sprint("no row allows a ", why, " to a proven address of class ", class)
	case lim.Every == 0:
		return ""
	case !p.kept.IsZero() && d.at.Sub(p.kept) < lim.Every:
		return sprint(d.to, " got a ", why, " ", d.at.Sub(p.kept), " after the last one, the rule says ", lim.Every)
	}
	p.kept = d.at
	p.missed++
	return ""
}

func (s *silence) sent(now time.Time, lim swarm.Limit, given bool) {
	if s.wait == 0 || now.Sub(s.next) > lim.Most { // forgotten meanwhile
		s.wait, s.n = lim.First, 0
	}
	s.next = now.Add(s.wait)
	if s.n++; given && s.n < lim.Even {
		return
	}
	s.wait = min(2*s.wait, lim.Most)
}
