package swarm

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Caps of the table. An entry is at most 0.5 KiB plus 256 bytes of their cookie: 4096 of them
// are 3 MiB. The six indices and counters beside it add at most 0.25 KiB an entry.
const (
	MaxPeers    = 4096
	MaxUnproven = MaxPeers / 4 // heard of or asked, without proof; given ones apart
	MaxPerNet   = 32           // per /24 or /48 of public addresses
	MaxGiven    = 256          // addresses that the user gave, also for a while
	lentFor     = time.Hour    // that while, without a proof
	maxSource   = 64           // unproven ones that one source told us: 16 sources fill MaxUnproven
	maxBans     = 4096
	maxSelves   = 64 // addresses that turned out to be our own
)

// Peer is what is known about an address, copied out of the table.
type Peer struct {
	Addr       netip.AddrPort
	Via        uint8         // socket by which it was last heard; 0: none yet
	Proven     bool          // it has standing: requests may be sent to it
	ProvenAt   time.Time     // first proof in this run
	RTT        time.Duration // smoothed, 0: not measured
	Given      bool
	FirstHeard time.Time // first proof ever, also in earlier runs
	LastHeard  time.Time // last proven datagram
	Sent       uint32    // questions, halved now and then
	Answered   uint32    // of them
	Theirs     []byte    // their cookie, nil: they asked none
	Banned     bool
}

// Table is all that is known about addresses. It is safe for concurrent use; values are copied
// out. Its methods take now, but for Watch they never call back.
type Table struct {
	mu      sync.Mutex
	byAddr  map[netip.AddrPort]*entry  // ≤ MaxPeers
	list    []*entry                   // the same, in an order that does not depend on the map
	nets    map[netip.Prefix]*netCount // of public addresses, per /24 or /48
	groups  map[netip.Prefix]*int      // proven entries per /16 or /32
	source  map[netip.Prefix]int       // unproven entries by who told us
	unsure  int                        // unproven and not given
	given   int
	waiting int                           // given and unproven, when due looked last
	within  [uninvited + 1]int            // entries with so many hops at most, by the last look
	version uint64                        // changes with what Best chooses from
	cookies map[[cookieDigits]byte]*entry // by the cookie that came back last; see moved.go
	bans    map[netip.AddrPort]time.Time  // by banKey, ≤ maxBans
	denied  prefixes                      // the user's own bans
	selves  []netip.AddrPort              // ≤ maxSelves, the oldest goes
	pace    pace                          // of addresses that never answered
	turned  pace                          // of proven entries that pushed out another one

	fullUntil time.Time // no unproven entry gives way before, to one of fullHops or more of a source that has fullFor of them or more
	fullFor   int
	fullHops  uint8

	silent silent

	watch Observers[netip.AddrPort] // has its own lock; told without ours
	wake  chan struct{}             // one token: there is something new to do
}

type entry struct {
	addr       netip.AddrPort
	class      Class
	net, group netip.Prefix
	at         int // in list

	via        uint8
	given      bool
	lent       bool // given for a while
	proven     bool
	crowd      *int         // of groups, while proven
	anchor     bool         // from peers.json, among the longest-lived: tried first
	hops       uint8        // see room.go
	peerAsks   uint8        // times it was asked whom it knows, newAsks at most
	source     netip.Prefix // who told us, while unproven
	first      time.Time
	last       time.Time
	provenAt   time.Time
	rtt        RTT
	sent       uint32
	answered   uint32
	theirs     []byte             // ≤ maxTheirs
	cookie     [cookieDigits]byte // of ours, that came back last
	epoch      uint64             // of that cookie; 0: none
	asked      time.Time          // when our cookie was last sent
	ask        bool               // ask them again to return our cookie
	owed       bool               // and nothing was sent since that became so
	challenged time.Time          // when another address that returned it was last asked
	relapses   uint8              // datagrams without it, after it had come
	contacted  bool               // we wrote to it while it was unproven
	credit     int                // bytes with headers that its last answer without proof pays for
	tries      int                // probes since it was heard of
	added      time.Time
	request    Backoff
	probe      Backoff
	keep       time.Time // next keepalive
	kept       time.Time // last keepalive
	missed     uint8     // keepalives without a sign of life
	askedPeers time.Time
}

// NewTable returns an empty table; 16 bytes of rand key its sketch of silent addresses.
func NewTable(rand io.Reader) (*Table, error) {
	t := &Table{
		byAddr:  map[netip.AddrPort]*entry{},
		nets:    map[netip.Prefix]*netCount{},
		groups:  map[netip.Prefix]*int{},
		source:  map[netip.Prefix]int{},
		cookies: map[[cookieDigits]byte]*entry{},
		bans:    map[netip.AddrPort]time.Time{},
		wake:    make(chan struct{}, 1),
	}
	_, err := io.ReadFull(rand, t.silent.key[:])
	return t, err
}

// Len is the number of entries, and of the unproven among them that nobody gave.
func (t *Table) Len() (all, unproven int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.list), t.unsure
}

// Sizes is the number of entries, of the proven, and of those that the user gave and that have no
// proof, as of the last look.
func (t *Table) Sizes() (all, proven, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.list), len(t.list) - t.unsure - t.waiting, t.waiting
}

// Give notes addresses of the user: asked for ever, whatever their class. It reports how many
// were taken; those that cannot be peers, and those beyond MaxGiven, are not.
func (t *Table) Give(now time.Time, addrs ...netip.AddrPort) (n int) {
	return t.give(now, false, addrs)
}

// Lend is Give for a while: an address that proves nothing for lentFor is forgotten. They make room for those of Give, and those that
// have proven themselves for each other: a node that lives for months hears of any number, by links and single commands.
func (t *Table) Lend(now time.Time, addrs ...netip.AddrPort) (n int) {
	return t.give(now, true, addrs)
}

func (t *Table) give(now time.Time, lent bool, addrs []netip.AddrPort) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range addrs {
		a = Clean(a)
		class := ClassOf(a)
		if !class.Unicast() || slices.Contains(t.selves, a) {
			continue
		}
		e := t.byAddr[a]
		if e != nil && e.given {
			if e.lent = e.lent && lent; e.lent {
				e.added = now
			}
			n++
			continue
		}
		if t.given >= MaxGiven && !t.takeBackLocked(lent) {
			continue
		}
		if e == nil {
			if e = t.addLocked(&entry{addr: a, class: class, given: true, lent: lent, added: now}, now); e == nil {
				continue
			}
		} else {
			t.countLocked(e, -1)
			e.given, e.lent, e.hops, e.added = true, lent, 0, now
			t.countLocked(e, +1)
			t.wakeUp()
		}
		n++
	}
	return n
}

// takeBackLocked makes room for one that is given: at the cost of what was lent, first the unproven, unless it is to be lent itself.
func (t *Table) takeBackLocked(lent bool) bool {
	var victim *entry
	for _, e := range t.list {
		if !e.lent || lent && !e.proven {
			continue
		}
		if victim == nil || victim.proven && !e.proven || victim.proven == e.proven && e.added.Before(victim.added) {
			victim = e
		}
	}
	switch {
	case victim == nil:
		return false
	case victim.proven: // it stays, as one like others
		t.countLocked(victim, -1)
		victim.given, victim.lent = false, false
		t.countLocked(victim, +1)
	default:
		t.removeLocked(victim)
	}
	return true
}

// Hear notes an address that from, a proven peer, told us about. It reports whether the address
// is new and was taken.
func (t *Table) Hear(a netip.AddrPort, from netip.AddrPort, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hearLocked(Clean(a), Clean(from), now) != nil
}

func (t *Table) hearLocked(a, from netip.AddrPort, now time.Time) *entry {
	class := ClassOf(a)
	hops := uint8(uninvited)
	if teller := t.byAddr[from]; teller != nil && teller.proven {
		hops = min(teller.hops+1, uninvited)
	}
	if e := t.byAddr[a]; e != nil {
		e.hops = min(e.hops, hops)
		return nil
	}
	if !class.Unicast() || t.bannedLocked(a, now) || slices.Contains(t.selves, a) {
		return nil
	}
	source := groupOf(from.Addr())
	if ClassOf(from).local() {
		source = prefixOf(from.Addr(), 32, 128)
	}
	return t.addLocked(&entry{addr: a, class: class, source: source, hops: hops, added: now}, now)
}

// Proven reports whether the address has standing: it has proven itself in this run, and was not
// forgotten since. Loopback is nothing special here: see RuleFor.
func (t *Table) Proven(a netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[Clean(a)]
	return e != nil && e.proven
}

// Peer copies out what is known about an address.
func (t *Table) Peer(a netip.AddrPort, now time.Time) (Peer, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[Clean(a)]
	if e == nil {
		return Peer{}, false
	}
	return t.copyLocked(e, now), true
}

// Peers copies out everything, sorted by address.
func (t *Table) Peers(now time.Time) []Peer {
	t.mu.Lock()
	ps := make([]Peer, 0, len(t.list))
	for _, e := range t.list {
		ps = append(ps, t.copyLocked(e, now))
	}
	t.mu.Unlock()
	slices.SortFunc(ps, func(a, b Peer) int { return a.Addr.Compare(b.Addr) })
	return ps
}

func (t *Table) copyLocked(e *entry, now time.Time) Peer {
	return Peer{
		Addr: e.addr, Via: e.via, Proven: e.proven, ProvenAt: e.provenAt, RTT: e.rtt.Smoothed(), Given: e.given,
		FirstHeard: e.first, LastHeard: e.last, Sent: e.sent, Answered: e.answered,
		Theirs: slices.Clone(e.theirs), Banned: t.bannedLocked(e.addr, now),
	}
}

// Answered notes that a question to a peer was answered after rtt; 0 if it was not measured.
func (t *Table) Answered(a netip.AddrPort, rtt time.Duration, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byAddr[Clean(a)]; e != nil {
		if rtt > 0 {
			e.rtt.Sample(rtt)
		}
		e.askedLocked(true)
	}
}

// Unanswered notes that a question to a peer was not answered in time.
func (t *Table) Unanswered(a netip.AddrPort, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byAddr[Clean(a)]; e != nil {
		e.askedLocked(false)
	}
}

// askedLocked counts a question; halving at 64 lets the past fade.
func (e *entry) askedLocked(answered bool) {
	e.sent++
	if answered {
		e.answered++
	}
	if e.sent >= 64 {
		e.sent, e.answered = e.sent/2, e.answered/2
	}
}

// Watch calls fn with each address that gains standing, until cancel. fn must return at once; it
// is called on the goroutine that received the proof.
func (t *Table) Watch(fn func(netip.AddrPort)) (cancel func()) {
	return t.watch.Add(fn)
}

// proveLocked gives standing; it reports whether that is new.
func (t *Table) proveLocked(e *entry, now time.Time) bool {
	e.last, e.missed, e.credit = now, 0, 0
	e.request.Answered()
	if e.proven {
		return false
	}
	t.countLocked(e, -1)
	e.proven, e.provenAt, e.tries = true, now, 0
	e.source = netip.Prefix{}
	if e.first.IsZero() || e.first.After(now) {
		e.first = now
	}
	e.keep = now
	e.askedPeers = time.Time{} // it may tell more now
	e.probe = Backoff{}
	t.countLocked(e, +1)
	t.wakeUp()
	return true
}

// provePong gives standing to an address that returned a token of ours.
func (t *Table) provePong(a netip.AddrPort, rtt time.Duration, now time.Time) {
	t.mu.Lock()
	e := t.byAddr[Clean(a)]
	gained := false
	if e != nil {
		e.rtt.Sample(rtt)
		e.askedLocked(true)
		gained = t.proveLocked(e, now)
	}
	t.mu.Unlock()
	if gained {
		t.watch.Tell(e.addr)
	}
}

// wakeUp tells the maintenance loop that something became due.
func (t *Table) wakeUp() {
	select {
	case t.wake <- struct{}{}:
	default: // it was told already
	}
}

// demoteLocked takes the standing away from an address that the user gave and that fell silent.
func (t *Table) demoteLocked(e *entry) {
	t.countLocked(e, -1)
	t.unbindLocked(e)
	e.proven, e.ask, e.missed, e.contacted = false, false, 0, true
	t.countLocked(e, +1)
}

// paceNext is when the next address heard of may be tried, as far as all of them share a limit.
func (t *Table) paceNext() time.Time {
	l, _ := RuleFor(Probe, Unproven, Private)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pace.next(netip.Prefix{}, l)
}

// spend takes away what the last answer without proof paid for: it was paid back by a reply.
func (t *Table) spend(a netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byAddr[a]; e != nil {
		e.credit = 0
	}
}
