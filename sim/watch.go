package sim

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/internal/netsim"
	"sharer/node"
	"sharer/swarm"
	"sharer/wire"
)

// Rule is a checker's name, as in the reliability list.
type Rule string

// The rules that hold in every world.
const (
	C1 Rule = "C1: what a node sends, keeps or finishes under an id is the content of that id"
	C2 Rule = "C2: datagrams in are those delivered, and are handled or dropped for a reason"
	C3 Rule = "C3: nobody gets more than swarm.Rules allow"
	C4 Rule = "C4: tables stay under their caps"
	C5 Rule = "C5: no goroutine is left"
	C6 Rule = "C6: requests that are out stay within the window"
	C7 Rule = "C7: limits of rate hold on the wire"
)

// life is one run of a node, as the checkers know it. A node that is started again has a new one.
type life struct {
	host     *Host // nil in tests of checkers
	at       []netip.AddrPort
	networks []netip.Prefix // that it is on
	born     time.Time
	ledger   *ledger // C3
	limits   limits  // C7
	paced    pacing
	windows  map[netip.AddrPort]*pairWindow // C6
	come     uint64                         // C2: datagrams that the network delivered
}

func (l *life) String() string { return l.at[0].String() }

// datagram is a packet of the network with what is in it.
type datagram struct {
	at       time.Time
	from, to netip.AddrPort
	size     int // with IP and UDP headers, as the rules count
	data     []byte
	es       []wire.Element
}

// watch hears of every packet and hands it to the checkers. One goroutine of the network calls packet; others look and ask.
type watch struct {
	start  time.Time
	report func(Rule, string, []string)
	demand chan struct{} // one token: somebody wants a look

	mu       sync.Mutex
	lives    map[netip.AddrPort]*life
	behind   map[netip.Addr]*life // by the outside address of its NAT, whatever the port
	truths   map[string]truth
	handles  map[handle]string // the ids that were asked for raw
	trace    trace
	told     map[Rule]int
	follower []func(netsim.Packet)
	wanted   map[*life]bool
	forged   map[forgery]int // that tests sent in the name of others, and that are not on their way yet
	es       []wire.Element
	decoded  []byte // of contentLocked
	traffic  traffic
	progress *Progress // nil: nobody wants to know
	worst    float64   // C3: the largest ratio of bytes out to bytes in of an unproven address
	late     []lateReport
}

// truth is what an id stands for.
type truth struct {
	data []byte
	kind chunk.Kind
}

// handle is what an asker calls an id.
type handle struct {
	asker netip.AddrPort
	wire.Handle
}

// handledLocked notes the handles in what asks.
func (w *watch) handledLocked(d *datagram) {
	for i := range d.es {
		if d.es[i].Name != "PleaseSendContent" {
			continue
		}
		if m, err := wire.ParsePleaseSendContent(d.es[i].Payload); err == nil && m.Raw != 0 {
			w.handles[handle{d.from, m.Raw}] = string(m.ID)
		}
	}
}

// contentLocked is a Content that goes to an address, with its id and its bytes, which live until the next call, however it is sent. Of a raw one that was not asked for the id is empty.
func (w *watch) contentLocked(e *wire.Element, to netip.AddrPort) (m wire.Content, err error) {
	if m, err = wire.ParseContent(e.Payload); err != nil {
		return m, err
	}
	if m.For == 0 {
		m.Data, err = m.AppendData(w.decoded[:0])
		w.decoded = m.Data
		return m, err
	}
	if m.Data = e.Rest; len(e.Rest) != m.Raw {
		return m, fmt.Errorf("%d bytes follow, %d are announced", len(e.Rest), m.Raw)
	}
	m.ID = []byte(w.handles[handle{to, m.For}])
	return m, nil
}

// content is contentLocked for followers, without the bytes: Raw is how many they are.
func (w *watch) content(e *wire.Element, to netip.AddrPort) (m wire.Content, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, err = w.contentLocked(e, bare(to))
	m.Raw, m.Data = len(m.Data), nil
	return m, err
}

// lateReport is a violation that was found under the lock, and is told without it.
type lateReport struct {
	rule      Rule
	what      string
	concerned []string
}

func newWatch(start time.Time, report func(Rule, string, []string)) *watch {
	return &watch{
		start: start, report: report, demand: make(chan struct{}, 1),
		lives: map[netip.AddrPort]*life{}, behind: map[netip.Addr]*life{}, truths: map[string]truth{}, handles: map[handle]string{}, told: map[Rule]int{},
		wanted: map[*life]bool{}, forged: map[forgery]int{}, traffic: traffic{map[lane]*Carried{}},
	}
}

// born is told of a node before it starts.
func (w *watch) born(h *Host, at []netip.AddrPort, networks []netip.Prefix, lim limits) *life {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &life{host: h, at: at, networks: networks, born: time.Now(), ledger: newLedger(networks), limits: lim, windows: map[netip.AddrPort]*pairWindow{}}
	return l
}

// at says where a node is.
func (w *watch) at(l *life, as []netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range as {
		w.lives[bare(a)] = l
	}
}

// died is told of a node that will say no more, and returns the addresses that it has heard of.
func (w *watch) died(l *life) map[netip.AddrPort]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range l.at {
		if w.lives[a] == l {
			delete(w.lives, a)
		}
	}
	if w.progress != nil {
		w.progress.gone(l, time.Now())
	}
	for a, o := range w.behind {
		if o == l {
			delete(w.behind, a)
		}
	}
	return l.ledger.heardOf()
}

// given notes addresses that a user named.
func (w *watch) given(l *life, as ...netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range as {
		l.ledger.given[bare(a)] = true
	}
}

// restore notes addresses that a node may know from before.
func (w *watch) restore(l *life, as map[netip.AddrPort]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for a := range as {
		l.ledger.heard[a] = true
	}
}

// finished is told of a download that ended well.
func (w *watch) finished(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress != nil {
		w.progress.finished(l, time.Now())
	}
}

// moved makes an outside address of a NAT that of the one node behind it.
func (w *watch) moved(l *life, outside netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind[outside.Unmap()] = l
}

// lifeLocked is the node that has an address, nil if none has.
func (w *watch) lifeLocked(a netip.AddrPort) *life {
	if l := w.lives[a]; l != nil {
		return l
	}
	return w.behind[a.Addr()]
}

func (w *watch) know(c *Content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.truths[c.BLAKE3().String()] = truth{c.Data, chunk.BLAKE3}
	w.truths[c.SHA256().String()] = truth{c.Data, chunk.SHA256}
	w.truths[c.TreeID().String()] = truth{c.Tree(), chunk.BLAKE3Tree}
}

func (w *watch) truth(id chunk.ID) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.truths[id.String()]
	return t.data, ok
}

func (w *watch) follow(f func(netsim.Packet)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.follower = append(w.follower, f)
}

// packet is the tap of the network.
func (w *watch) packet(p netsim.Packet) {
	w.mu.Lock()
	w.seenLocked(&p)
	late := w.late
	w.late = nil
	followers := w.follower
	w.mu.Unlock()
	for _, v := range late {
		w.report(v.rule, v.what, v.concerned)
	}
	for _, f := range followers {
		f(p)
	}
}

func (w *watch) seenLocked(p *netsim.Packet) {
	from, to := w.lifeLocked(bare(p.From)), w.lifeLocked(bare(p.To))
	d := datagram{at: p.At, from: bare(p.From), to: bare(p.To), size: len(p.Data) + wire.HeaderBytes, data: p.Data}
	out := p.Outcome == netsim.Sent && from != nil && !w.forgedLocked(p)
	in := p.Outcome == netsim.Delivered && to != nil
	if out || in {
		// What is no array has no elements, for the node as for us.
		w.es, _, _ = wire.Split(w.es[:0], p.Data)
		d.es = w.es
		w.handledLocked(&d)
	}
	w.trace.add(p, d.es)
	switch {
	case out:
		w.truthLocked(from, &d)
		w.spentLocked(from, &d)
		w.askedLocked(from, &d)
		w.pacedLocked(from, &d, true)
	case in:
		to.come++
		w.cameLocked(&d)
		to.ledger.came(&d)
		w.answeredLocked(to, &d)
		w.pacedLocked(to, &d, false)
	}
}

// forgery is a datagram that a test sent in somebody's name.
type forgery struct {
	from, to netip.AddrPort
	data     string
}

func (w *watch) forge(from, to netip.AddrPort, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lifeLocked(bare(from)) != nil { // nobody else's datagrams are looked at
		w.forged[forgery{bare(from), bare(to), string(data)}]++
	}
}

// forgedLocked reports whether its sender is innocent of a packet.
func (w *watch) forgedLocked(p *netsim.Packet) bool {
	if len(w.forged) == 0 {
		return false
	}
	f := forgery{bare(p.From), bare(p.To), string(p.Data)}
	n := w.forged[f]
	if n > 1 {
		w.forged[f] = n - 1
	} else {
		delete(w.forged, f)
	}
	return n > 0
}

// foundLocked notes a violation.
func (w *watch) foundLocked(r Rule, what string, ds ...*datagram) {
	var concerned []string
	for _, d := range ds {
		concerned = append(concerned, d.describe(w.start))
	}
	w.late = append(w.late, lateReport{r, what, concerned})
}

// look compares what a node says of itself.
func (w *watch) look(l *life, s node.Stats) {
	w.mu.Lock()
	w.capsLocked(l, s)
	w.windowsLocked(l, s, time.Now())
	if w.progress != nil {
		w.progress.note(l, s, time.Now())
	}
	if in, come := s.Gate.In, l.come; in > come {
		w.foundLocked(C2, sprint(l, " counts ", in, " datagrams in, the network delivered ", come))
	}
	w.unlockAndTell()
}

// atRest compares counters when nothing is under way.
func (w *watch) atRest(l *life, s node.Stats) {
	w.mu.Lock()
	w.conservedLocked(l, s.Gate)
	w.unlockAndTell()
}

// conservedLocked is C2.
func (w *watch) conservedLocked(l *life, s swarm.Stats) {
	if s.In != l.come {
		w.foundLocked(C2, sprint(l, " counts ", s.In, " datagrams in, the network delivered ", l.come))
	}
	if s.In != s.Handled+s.DroppedAll() {
		w.foundLocked(C2, sprint(l, ": ", s.In, " datagrams came in, ", s.Handled, " were handled and ", s.DroppedAll(), " dropped: ", s.Dropped))
	}
}

func (w *watch) unlockAndTell() {
	late := w.late
	w.late = nil
	w.mu.Unlock()
	for _, v := range late {
		w.report(v.rule, v.what, v.concerned)
	}
}

// wantLocked asks the poller for a look at a node at this very instant.
func (w *watch) wantLocked(l *life) {
	w.wanted[l] = true
	select {
	case w.demand <- struct{}{}:
	default:
	}
}

// demanded says which of these a look is wanted at.
func (w *watch) demanded(live []*Host) (some []*Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range live {
		if w.wanted[h.life] {
			some = append(some, h)
		}
	}
	clear(w.wanted)
	return some
}

// bare is an address as the checkers know it.
func bare(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
