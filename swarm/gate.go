package swarm

import (
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sharer/wire"
)

// GateConfig says what a gate stands between.
type GateConfig struct {
	Conn     Conn
	Table    *Table    // nil: an empty one
	Rand     io.Reader // secrets; nil: crypto/rand
	Isolated bool      // requests and probes go to loopback, LAN, and given addresses only; no announcements
}

// Gate is the only way out, and the judge of what comes in. It is safe for concurrent use.
type Gate struct {
	conn     Conn
	table    *Table
	cookies  *Cookies
	isolated bool
	around   atomic.Pointer[around]
	pool     sync.Pool // of *Batch
	counts   counts
	meters   atomic.Pointer[meters]

	mu        sync.Mutex
	announced map[netip.Addr]time.Time // ≤ 64: what AnnounceTo named
	lastCall  time.Time                // of an announcement

	echoes echoes // from Admit to Reply of the same datagram
}

// NewGate returns a gate. It fails only when the secrets cannot be drawn.
func NewGate(c GateConfig) (*Gate, error) {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Table == nil {
		t, err := NewTable(c.Rand)
		if err != nil {
			return nil, fmt.Errorf("swarm: key of the table: %w", err)
		}
		c.Table = t
	}
	cookies, err := NewCookies(c.Rand, time.Now())
	if err != nil {
		return nil, err
	}
	g := &Gate{conn: c.Conn, table: c.Table, cookies: cookies, isolated: c.Isolated, announced: map[netip.Addr]time.Time{}}
	g.echoes.seed = maphash.MakeSeed()
	g.pool.New = func() any { return g.NewBatch() }
	g.Look()
	return g, nil
}

// Look reads the addresses and networks of the Conn again.
func (g *Gate) Look() { g.around.Store(look(g.conn)) }

// Asked reports whether a datagram holds a question: only then may a stranger be sent a cookie
// alone. PleaseAlwaysReturnThisMessage is none, or two nodes would exchange cookies for ever.
func Asked(es []wire.Element) bool {
	return slices.ContainsFunc(es, question)
}

func question(e wire.Element) bool {
	switch e.Name {
	case "PleaseAlwaysReturnThisMessage":
		return false
	case "GetLatest", "WhereAreThey":
		return true
	case "ChatMessage":
		m, err := wire.ParseChatMessage(e.Payload)
		return err == nil && (strings.HasPrefix(string(m.Message), "/ping") || strings.HasPrefix(string(m.Message), "/version"))
	}
	return strings.HasPrefix(e.Name, "Please")
}

// arrival is a datagram as far as the table cares.
type arrival struct {
	addr     netip.AddrPort
	class    Class
	via      uint8
	size     int
	theirs   []byte                 // value of the last PleaseAlwaysReturnThisMessage, nil if none
	returned [returnedChecks][]byte // values of AlwaysReturned, the first few; nil behind them
	asked    bool                   // it holds a question
	invited  bool                   // it answers an announcement of ours: the LAN may introduce itself
}

// Admit says who sent a datagram: proof by our cookie or loopback, and the room for replies. It
// learns their cookie, and what the table wants to know. A Sender without a valid Addr means that
// the datagram was dropped, and counted: it must not be dispatched. Each datagram that was
// counted by ReceivedBatch must get here, or to Dropped.
func (g *Gate) Admit(d wire.Datagram, es []wire.Element) wire.Sender {
	now := time.Now()
	ar := g.around.Load()
	in := arrival{addr: Clean(d.Addr), via: d.Via, size: len(d.Data)}
	in.class = ar.class(in.addr)
	switch {
	case !in.class.Unicast():
		return g.drop(DropAddress)
	case ar.self(in.addr):
		return g.drop(DropSelf)
	}
	n, content := 0, false
	for i := range es {
		switch es[i].Name {
		case "Content":
			content = true
		case "AlwaysReturned":
			if n < len(in.returned) {
				in.returned[n] = es[i].Payload
				n++
			}
		case "PleaseAlwaysReturnThisMessage":
			in.theirs = es[i].Payload
		}
	}
	if len(in.theirs) > maxTheirs {
		in.theirs = nil
		g.counts.cookiesRefused.Add(1)
	}
	in.asked = Asked(es)
	if in.class != Loopback && !in.asked && ar.near(in.addr) {
		in.invited = g.calledWithin(now, 10*time.Second)
	}

	v := g.table.admit(&in, g.cookies, now)
	switch {
	case v.banned:
		return g.drop(DropBanned)
	case v.self:
		return g.drop(DropSelf)
	}
	if (!v.kept || !v.proven) && (len(in.theirs) > 0 || v.moved.old.IsValid()) {
		g.echoes.keep(in.addr, in.theirs, v.moved)
	}
	if v.gained {
		g.table.watch.Tell(in.addr)
	}
	if v.badCookie {
		g.counts.cookiesWrong.Add(1)
	}
	g.counts.handled.Add(1)
	from := wire.Sender{Addr: in.addr, Via: d.Via, Proven: v.proven, Size: in.size, At: now, Content: content}
	if v.proven {
		from.Room = wire.MaxElements * wire.CustomarySize
		return from
	}
	from.Room = max(0, budget(in.size)-2-pleaseLen)
	if e := echoLen(in.theirs); e > 0 && from.Room > e {
		from.Room -= e + 1
	}
	from.Room = max(0, from.Room-v.moved.room)
	return from
}

// AdmittedAlike counts datagrams that were taken with one that Admit let in, proven, as they differ from it in nothing that a gate
// looks at and were read with it.
func (g *Gate) AdmittedAlike(n int) { g.counts.handled.Add(uint64(n)) }

// budget is how many bytes of payload may answer a datagram of size bytes from an unproven
// address: at most twice, the headers counted on both sides.
func budget(size int) int {
	return replyRatio*(size+wire.HeaderBytes) - wire.HeaderBytes
}

// replyRatio comes from the table.
var replyRatio = func() int {
	l, _ := RuleFor(Reply, Unproven, Public)
	return l.Ratio
}()

func (g *Gate) drop(r DropReason) wire.Sender {
	g.counts.dropped[r].Add(1)
	return wire.Sender{}
}

// Reply sends what the handlers answered to a datagram that Admit let in. asked tells whether
// that datagram held a question (see Asked). To a proven sender all replies go, packed into
// datagrams of at most wire.CustomarySize where they fit. To others one datagram goes at most,
// within twice what came, and only if a question came: our cookie stays, then as many replies as
// fit, in order. So two nodes that are forged into answering each other fall silent, even if a
// handler answers answers. Who seems to be a peer at a new address is asked (see moved.go).
func (g *Gate) Reply(from wire.Sender, asked bool, replies [][]byte) {
	from.Addr = Clean(from.Addr)
	if !from.Addr.IsValid() || from.Proven && len(replies) == 0 {
		return
	}
	if !from.Proven && !asked {
		if !g.echoes.moved(from.Addr) {
			return
		}
		replies = nil
	}
	now := time.Now()
	if g.table.shut(from.Addr, now) { // a handler found out something
		return
	}
	if g.sheds(now) {
		g.counts.refused[RefusedLimit].Add(1)
		return
	}
	b := g.pool.Get().(*Batch)
	defer g.pool.Put(b)
	if !from.Proven {
		g.replyStranger(b, from, asked, replies)
	} else {
		g.replyProven(b, from, replies)
	}
	_ = b.Flush() // counted there; a reply that is lost is asked for again
}

func (g *Gate) replyProven(b *Batch, from wire.Sender, replies [][]byte) {
	for len(replies) > 0 {
		buf, ok := b.openReply(from.Addr, from.Via)
		if !ok {
			return
		}
		room := wire.CustomarySize - len(buf) - b.cookieLen() - 1
		n := 0
		for n < len(replies) && (n == 0 || len(replies[n])+1 <= room) {
			if n > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, replies[n]...)
			room -= len(replies[n]) + 1
			n++
		}
		replies = replies[n:]
		b.Close(buf, 0)
	}
}

func (g *Gate) replyStranger(b *Batch, from wire.Sender, asked bool, replies [][]byte) {
	limit := budget(from.Size)
	room := limit - 2 - pleaseLen
	if room < 0 {
		g.counts.refused[RefusedSize].Add(1)
		return
	}
	buf, was := b.openStranger(from.Addr, from.Via, limit)
	if was.ask && len(challengeText)+1 <= room {
		buf = append(buf, challengeText...)
		room -= len(challengeText) + 1
	}
	if e := echoLen(b.theirs); e > 0 && e < room {
		room -= e + 1
	} else {
		b.theirs = b.theirs[:0]
	}
	for _, r := range replies {
		if len(r)+1 > room {
			g.counts.refused[RefusedSize].Add(1)
			continue
		}
		if len(buf) > 1 {
			buf = append(buf, ',')
		}
		buf = append(buf, r...)
		room -= len(r) + 1
	}
	if len(b.theirs) == 0 { // it may be one that forgot our cookie: what it once asked for goes where there is room
		if b.theirs = g.table.theirs(b.theirs, from.Addr); echoLen(b.theirs)+1 > room {
			b.theirs = b.theirs[:0]
		}
	}
	b.alone = asked
	g.table.spend(from.Addr)
	b.Close(buf, 0)
}

// MayRequest reports whether a Request to the address would leave now, and if not, when one may;
// the zero time means never, as things are.
func (g *Gate) MayRequest(a netip.AddrPort, now time.Time) (ok bool, next time.Time) {
	q := g.query(a, Request)
	if q.refused != Allowed {
		return false, time.Time{}
	}
	return g.table.may(&q, now)
}

// MayLearn reports whether an address that from told us about is worth keeping: only the word of
// the proven counts, only what such a peer can know counts, and not what is our own.
func (g *Gate) MayLearn(from wire.Sender, a netip.AddrPort) bool {
	a = Clean(a)
	ar := g.around.Load()
	return from.Proven && ar.class(a).Unicast() && MayPass(a, ClassOf(from.Addr)) && !ar.self(a) &&
		(!g.isolated || ar.near(a))
}

// Near reports whether an address may be used in isolated mode without having been given.
func (g *Gate) Near(a netip.AddrPort) bool { return g.around.Load().near(Clean(a)) }

// calledWithin reports whether an announcement left at most d ago.
func (g *Gate) calledWithin(now time.Time, d time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.lastCall.IsZero() && now.Sub(g.lastCall) <= d
}

// mayAnnounce checks and books an announcement.
func (g *Gate) mayAnnounce(to netip.AddrPort, every time.Duration, now time.Time) Refusal {
	if g.isolated {
		return RefusedIsolated
	}
	if !slices.Contains(g.around.Load().announce, to.Addr()) {
		return RefusedClass
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, ok := g.announced[to.Addr()]; ok && now.Sub(at) < every {
		return RefusedEvery
	}
	for a, at := range g.announced {
		if now.Sub(at) >= every {
			delete(g.announced, a)
		}
	}
	if len(g.announced) >= 64 {
		return RefusedFull
	}
	g.announced[to.Addr()] = now
	g.lastCall = now
	return Allowed
}

// Ours reports whether value is a cookie that we made for an address: the value of an AlwaysReturned
// that lay inside a letter, which Admit does not see.
func (g *Gate) Ours(a netip.AddrPort, value []byte) bool {
	text := cookieText(value)
	if text == nil {
		return false
	}
	_, ok := g.cookies.Check(a, text, time.Now())
	return ok
}

// Ask is the question for our cookie from an address, for those whom Open does not ask: loopback is proven without,
// but a key that speaks from there is not.
func (g *Gate) Ask(a netip.AddrPort) wire.PleaseAlwaysReturnThisMessage {
	text := g.cookies.Make(a, time.Now())
	return wire.PleaseAlwaysReturnThisMessage{Value: wire.CookieValue(string(text[:]))}
}
