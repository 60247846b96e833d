package sim

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"sharer/swarm"
	"sharer/wire"
)

// ledger is C3 for one node: what each address was sent, weighed against swarm.Rules. Proof is told from outside: by the cookies
// that were seen to go out and to come back. Pure: the datagrams tell the time.
//
// Where the wire does not show which reason a datagram has: one that asks for peers is a Probe, or Given if the address was;
// any other question is a Request; what asks nothing is a Reply, but to the proven, and if nothing in it answers anything, a Tell. A question that its row forbids may still be the one reply to a
// datagram: so it is when a peer seems to have moved, and is asked for proof at once.
type ledger struct {
	networks []netip.Prefix
	accounts map[netip.AddrPort]*account
	given    map[netip.AddrPort]bool // the user named them
	heard    map[netip.AddrPort]bool // a proven peer named them, or one that was asked who has a content, or they answered an announcement
	recent   []small                 // the last datagrams without proof, to addresses that nobody gave
	spread   map[netip.AddrPort]time.Time
}

type small struct {
	at  time.Time
	net netip.Prefix
}

const (
	keptCookies = 4 // each is good for two hours at most, and a node has one an hour for an address
	keptTokens  = 8
	keptCredits = 1024
	// replyWithin is how long after a datagram without proof its reply may leave. Nodes keep no state for strangers, so it
	// is the instant itself in virtual time; the rest is for queues that a node may have.
	replyWithin = 100 * time.Millisecond
	// goneAfter keepalives without a sign of life a node may take a proven address for one that it knows nothing of: from
	// then on it may do what the rules say of the unproven, too.
	goneAfter = 4
)

// owedFor are questions and what answers them.
var owedFor = [...]struct {
	question string
	answers  []string
}{
	{"PleaseSendContent", []string{"Content", "MaybeTheyHaveSome"}},
	{"PleaseSendPeers", []string{"Peers"}},
	{"PleaseReturnThisMessage", []string{"ReturnedMessage"}},
	{"PleaseListContent", []string{"ContentList"}},
	{"PleaseListContent", []string{"IJustSawThis"}},
	{"PleaseListContent", []string{"YouShouldSeeThis"}},
	{"ChatMessage", []string{"ChatMessage"}},
	{"WhereAreThey", []string{"Forwarded"}},
	{"WhereAreThey", []string{"MyPublicKey"}},
	{"GetLatest", []string{"SignedMessage"}},
}

func newLedger(networks []netip.Prefix) *ledger {
	return &ledger{
		networks: networks, accounts: map[netip.AddrPort]*account{}, given: map[netip.AddrPort]bool{},
		heard: map[netip.AddrPort]bool{}, spread: map[netip.AddrPort]time.Time{},
	}
}

func (l *ledger) account(a netip.AddrPort) *account {
	p := l.accounts[a]
	if p == nil {
		p = &account{}
		l.accounts[a] = p
	}
	return p
}

// heardOf are the addresses that the node may remember.
func (l *ledger) heardOf() map[netip.AddrPort]bool {
	for a := range l.given {
		l.heard[a] = true
	}
	for a, p := range l.accounts {
		if p.standing {
			l.heard[a] = true
		}
	}
	return l.heard
}

// came notes a datagram that reached the node.
func (l *ledger) came(d *datagram) {
	p := l.account(d.from)
	p.spoke, p.missed = true, 0
	p.in += d.size
	if l.invited(d) {
		l.heard[d.from] = true
	}
	asked, proven := false, swarm.ClassOf(d.from) == swarm.Loopback // which proves itself
	for i := range d.es {
		e := &d.es[i]
		asked = asked || asks(e)
		switch e.Name {
		case "AlwaysReturned":
			proven = proven || among(p.cookies, e.Payload)
		case "ReturnedMessage":
			p.standing = p.standing || among(p.tokens, e.Payload)
		case "MaybeTheyHaveSome":
			if m, err := wire.ParseMaybeTheyHaveSome(e.Payload); err == nil {
				l.named(m.Peers)
			}
		}
	}
	lim, _ := swarm.RuleFor(swarm.Reply, swarm.Unproven, swarm.ClassOf(d.from))
	p.request.wait, p.probe.wait = 0, 0 // it answered, with proof or without
	if proven {
		p.standing = true
		for i := range d.es {
			switch d.es[i].Name {
			case "Peers":
				if m, err := wire.ParsePeers(d.es[i].Payload); err == nil {
					l.named(m.Peers)
				}
			case "Forwarded":
				if m, err := wire.ParseForwarded(d.es[i].Payload); err == nil {
					l.named([]netip.AddrPort{m.Src})
				}
			}
		}
		p.earn(credit{at: d.at, bytes: wire.MaxDatagram + wire.HeaderBytes})
		for i := range d.es {
			for k := range owedFor {
				if owedFor[k].question == d.es[i].Name {
					p.owed[k] += answersTo(&d.es[i])
				}
			}
		}
		return
	}
	p.earn(credit{d.at, lim.Ratio * d.size, asked})
	if !asked {
		p.paid = lim.Ratio * d.size
	}
}

// answersTo is how many datagrams may answer a question: one, or as many as one for content asks for.
func answersTo(e *wire.Element) int {
	m, err := wire.ParsePleaseSendContent(e.Payload)
	if e.Name != "PleaseSendContent" || err != nil || m.Each == 0 {
		return 1
	}
	const most = 40960 // of content for one question (wire.md section 5)
	return int((min(m.Length, most)-1)/m.Each + 1)
}

// invitation is how long after an announcement a neighbour may introduce himself.
const invitation = 10 * time.Second

func (l *ledger) invited(d *datagram) bool {
	near := slices.ContainsFunc(l.networks, func(n netip.Prefix) bool { return n.Contains(d.from.Addr()) })
	for _, at := range l.spread {
		if near && d.at.Sub(at) <= invitation {
			return true
		}
	}
	return false
}

func (l *ledger) named(as []netip.AddrPort) {
	for _, a := range as {
		l.heard[bare(a)] = true
	}
}

// went notes a datagram that the node sent, and says what is wrong with it.
func (l *ledger) went(d *datagram) (wrong string) {
	class := swarm.ClassOf(d.to)
	if !class.Unicast() || l.broadcast(d.to) {
		return l.announced(d, class)
	}
	p := l.account(d.to)
	question := false
	for i := range d.es {
		e := &d.es[i]
		switch e.Name {
		case "PleaseAlwaysReturnThisMessage":
			p.cookies = keep(p.cookies, e.Payload, keptCookies)
		case "PleaseReturnThisMessage":
			p.tokens = keep(p.tokens, e.Payload, keptTokens)
			question = true
		default:
			question = question || asks(e) && e.Name != "ChatMessage"
		}
	}
	lim, ok := swarm.RuleFor(swarm.Reply, swarm.Unproven, class)
	switch {
	case ok && lim == (swarm.Limit{}): // loopback: as proven
		return ""
	case question:
		if wrong = l.questioned(p, d, class); wrong != "" && p.spend(d, false) {
			p.out += d.size
			return ""
		}
		return wrong
	}
	if _, ok := swarm.RuleFor(swarm.Tell, swarm.Proven, class); ok && p.standing && tells(d) {
		return ""
	}
	return p.replied(d)
}

// tells reports whether a datagram says something that nobody need have asked for.
func tells(d *datagram) (some bool) {
	for i := range d.es {
		switch name := d.es[i].Name; {
		case name == "AlwaysReturned" || name == "PleaseAlwaysReturnThisMessage":
		case unasked[name]:
			some = true
		default:
			return false
		}
	}
	return some
}

// unasked are the messages that are said without a question.
var unasked = map[string]bool{
	"MyPublicKey": true, "SignedMessage": true, "EncryptedMessages": true, "FastEncryptedMessages": true, "ChatMessage": true, "GroupChatMessage": true, "AudioFrame": true,
}

// questioned judges what asks.
func (l *ledger) questioned(p *account, d *datagram, class swarm.Class) (wrong string) {
	why, quiet := swarm.Request, &p.request
	if slices.ContainsFunc(d.es, func(e wire.Element) bool { return e.Name == "PleaseSendPeers" }) {
		why, quiet = swarm.Probe, &p.probe
		if l.given[d.to] {
			why = swarm.Given
		}
	}
	if p.standing {
		if wrong = p.questionedProven(d, why, class); wrong == "" || p.missed < goneAfter {
			return wrong
		}
	}
	lim, ok := swarm.RuleFor(why, swarm.Unproven, class)
	switch {
	case !ok:
		return sprint("no row allows a ", why, " to an unproven address of class ", class)
	case !l.given[d.to] && !l.heard[d.to] && !p.standing:
		return sprint(d.to, ", of which nobody has told, gets a ", why)
	case lim.Small > 0 && len(d.data) > lim.Small:
		return sprint(d.to, ", unproven, gets a ", why, " of ", len(d.data), " bytes, the rule says ", lim.Small)
	}
	early := d.at.Before(quiet.next)
	paid := p.paid >= d.size
	if paid && early { // the same bytes do not pay for a reply too
		for i, c := range p.credits {
			if !c.asked && c.bytes == p.paid {
				p.credits = slices.Delete(p.credits, i, i+1)
				break
			}
		}
	}
	p.paid = 0
	when := quiet.next
	if lim.First > 0 {
		quiet.sent(d.at, lim, l.given[d.to])
	}
	if paid {
		return ""
	}
	if early {
		return sprint(d.to, ", unproven, gets a ", why, " ", when.Sub(d.at), " too early (", lim.First, " doubling to ", lim.Most, ")")
	}
	if l.given[d.to] {
		return ""
	}
	return l.unpaid(p, d, why, lim, class)
}

// unpaid judges a datagram that nothing pays for, to an address that nobody gave: PerSecond, PerNet, PerDay.
func (l *ledger) unpaid(p *account, d *datagram, why swarm.Reason, lim swarm.Limit, class swarm.Class) (wrong string) {
	for len(l.recent) > 0 && d.at.Sub(l.recent[0].at) >= time.Second {
		l.recent = l.recent[1:]
	}
	var network netip.Prefix
	if class == swarm.Public {
		network = networkOf(d.to.Addr())
	}
	all, same := 1, 1
	for _, r := range l.recent {
		all++
		if network.IsValid() && r.net == network {
			same++
		}
	}
	l.recent = append(l.recent, small{d.at, network})
	for len(p.tries) > 0 && d.at.Sub(p.tries[0]) >= 24*time.Hour {
		p.tries = p.tries[1:]
	}
	p.tries = append(p.tries, d.at)
	switch {
	case lim.PerSecond > 0 && all > lim.PerSecond:
		return sprint(all, " datagrams within a second to addresses without proof, the rule for ", why, " says ", lim.PerSecond)
	case lim.PerNet > 0 && same > lim.PerNet:
		return sprint(same, " datagrams within a second to ", network, ", without proof, the rule for ", why, " says ", lim.PerNet)
	case lim.PerDay > 0 && !p.spoke && len(p.tries) > lim.PerDay:
		return sprint(d.to, ", which never answered, got ", len(p.tries), " datagrams in 24 hours, the rule for ", why, " says ", lim.PerDay)
	}
	return ""
}

// announced judges what goes to many.
func (l *ledger) announced(d *datagram, class swarm.Class) (wrong string) {
	if l.broadcast(d.to) {
		class = swarm.Broadcast
	}
	lim, ok := swarm.RuleFor(swarm.Announce, swarm.Unproven, class)
	last, before := l.spread[d.to]
	l.spread[d.to] = d.at
	switch {
	case !ok:
		return sprint("no row allows anything to ", d.to, ", class ", class)
	case lim.Small > 0 && len(d.data) > lim.Small:
		return sprint("an announcement of ", len(d.data), " bytes, the rule says ", lim.Small)
	case before && d.at.Sub(last) < lim.Every:
		return sprint("an announcement to ", d.to, " ", d.at.Sub(last), " after the last one, the rule says ", lim.Every)
	}
	return ""
}

// broadcast reports whether an address is the last one of a network that the node is on.
func (l *ledger) broadcast(a netip.AddrPort) bool {
	return a.Addr().Is4() && slices.ContainsFunc(l.networks, func(n netip.Prefix) bool {
		return n.Bits() <= 30 && n.Contains(a.Addr()) && !n.Contains(a.Addr().Next())
	})
}

// asks reports whether an element is a question. To ask for a cookie is none.
func asks(e *wire.Element) bool {
	switch e.Name {
	case "PleaseAlwaysReturnThisMessage":
		return false
	case "ChatMessage", "GetLatest", "WhereAreThey":
		return true
	}
	return strings.HasPrefix(e.Name, "Please")
}

func networkOf(ip netip.Addr) netip.Prefix {
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, _ := ip.Prefix(bits) // fails for the zero address only, which is of no unicast class
	return p
}

func among(values [][]byte, v []byte) bool {
	return slices.ContainsFunc(values, func(k []byte) bool { return slices.Equal(k, v) })
}

// keep remembers a value among the last most different ones.
func keep(values [][]byte, v []byte, most int) [][]byte {
	if among(values, v) {
		return values
	}
	if len(values) == most {
		values = slices.Delete(values, 0, 1)
	}
	return append(values, slices.Clone(v))
}

// spentLocked is C3.
func (w *watch) spentLocked(l *life, d *datagram) {
	if wrong := l.ledger.went(d); wrong != "" {
		w.foundLocked(C3, wrong, d)
	}
	if p := l.ledger.accounts[d.to]; p != nil && p.in > 0 {
		w.worst = max(w.worst, float64(p.out)/float64(p.in))
	}
}

// WorstRatio is the largest ratio of bytes out to bytes in, headers counted, of replies to any address without proof, so far.
func (w *World) WorstRatio() float64 {
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	return w.watch.worst
}
