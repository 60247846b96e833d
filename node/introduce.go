package node

import (
	"context"
	"net/netip"
	"time"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

// A key lives where its holder has signed the cookie of who asks. So who is met is sent our key and, signed, the cookie
// that it asked us to return: at once, twice more in case that is lost, and again each half hour, or when its cookie is
// another one, as after we have moved or it was started anew. With 430 bytes each that is 1 MB a day for 50 peers.
var introduceAfter = [...]time.Duration{0, time.Second, 15 * time.Second}

const (
	introduceEvery = 30 * time.Minute
	introduceLook  = 15 * time.Second // how often cookies are compared
	introduceWait  = 300 * time.Millisecond
	maxMet         = 256 // who gained standing just now; the rest is found at the next look
)

// introductions tells peers who we are.
type introductions struct {
	letters *letters
	unasked bool // everybody who is met is told; else those only that we speak to
	met     chan netip.AddrPort
	batch   *swarm.Batch
	told    map[netip.AddrPort]*told // of proven peers: ≤ swarm.MaxPeers
}

type told struct {
	theirs string // the cookie that was signed last
	times  int
	next   time.Time
}

// gained hears of an address that has standing since now, or another cookie.
func (in *introductions) gained(a netip.AddrPort) {
	select {
	case in.met <- a:
	default: // found at the next look
	}
}

// asked hears of a peer that asks us to return a cookie.
func (in *introductions) asked(from wire.Sender, _ wire.Element) []wire.Message {
	if from.Proven {
		in.gained(from.Addr)
	}
	return nil
}

// compare begins anew with a peer whose cookie is another one now.
func (in *introductions) compare(a netip.AddrPort, now time.Time) {
	p, ok := in.letters.table.Peer(a, now)
	t := in.told[a]
	switch {
	case !ok || !p.Proven:
	case t != nil && t.theirs != string(p.Theirs):
		t.times, t.next = 0, now
	case t == nil && in.unasked && len(in.told) < swarm.MaxPeers:
		in.told[a] = &told{}
		if !ready(p) {
			in.told[a].next = now.Add(introduceWait)
		}
	}
}

// ready says whether a peer is more than one who asks a question and is gone, as netcat: it has asked us to return a cookie, or
// has answered a question of ours. Others would take what they did not ask for as the answer.
func ready(p swarm.Peer) bool { return len(p.Theirs) > 0 || p.Answered > 0 }

// run introduces us until ctx ends.
func (in *introductions) run(ctx context.Context) {
	timer := time.NewTimer(introduceLook)
	defer timer.Stop()
	look := time.Now().Add(introduceLook)
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-in.met:
			in.compare(a, time.Now())
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(look) {
			look = now.Add(introduceLook)
			in.look(now)
		}
		timer.Reset(max(in.step(now, look).Sub(now), 10*time.Millisecond))
	}
}

// look finds peers that were missed, those that have another cookie now, and forgets those that are gone.
func (in *introductions) look(now time.Time) {
	peers := in.letters.table.Peers(now)
	here := make(map[netip.AddrPort]bool, len(peers))
	for _, p := range peers {
		if !p.Proven {
			continue
		}
		here[p.Addr] = true
		in.compare(p.Addr, now)
	}
	for a := range in.told {
		if !here[a] {
			delete(in.told, a)
		}
	}
}

// step sends what is due, and says when there is more.
func (in *introductions) step(now, next time.Time) time.Time {
	for a, t := range in.told {
		if !t.next.After(now) {
			in.introduce(a, t, now)
		}
		if t.next.Before(next) {
			next = t.next
		}
	}
	_ = in.batch.Flush() // counted; it is said again
	return next
}

func (in *introductions) introduce(a netip.AddrPort, t *told, now time.Time) {
	p, ok := in.letters.table.Peer(a, now)
	if !ok || !ready(p) {
		t.next = now.Add(introduceLook)
		return
	}
	if p.Proven && (len(p.Theirs) > 0 || t.times == 0) {
		if buf, ok := in.batch.Open(a, 0, swarm.Tell); ok {
			in.batch.Close(in.letters.appendIntroduction(buf, p), 0)
		}
	}
	t.theirs = string(p.Theirs)
	if t.times++; t.times < len(introduceAfter) {
		t.next = now.Add(introduceAfter[t.times])
		return
	}
	t.next = now.Add(introduceEvery)
}

// appendIntroduction appends the elements that say who we are: the signature first, as the best-known node moves a key
// only behind one.
func (l *letters) appendIntroduction(buf []byte, p swarm.Peer) []byte {
	key := l.opener.Key
	if len(p.Theirs) > 0 {
		buf = append(wire.AppendMessage(buf, key.Sign(wire.AlwaysReturned{Value: p.Theirs})), ',')
	}
	buf = wire.AppendMessage(buf, wire.MyPublicKey{Ed25519: key.Public()})
	if swarm.ClassOf(p.Addr) == swarm.Loopback {
		buf = wire.AppendMessage(append(buf, ','), l.gate.Ask(p.Addr))
	}
	return buf
}

// Key is who this node is.
func (n *Node) Key() identity.PublicKey { return n.letters.opener.Key.Public() }

// Whois returns what is known of where a key lives.
func (n *Node) Whois(key identity.PublicKey) (identity.Place, bool) {
	return n.letters.opener.Places.Of(key)
}
