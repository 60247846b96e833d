package swarm

import (
	"net/netip"
	"time"

	"sharer/wire"
)

// A peer whose address changes (a NAT that forgot it, a network that was left) goes on returning
// the cookie that we made for the old address. That proves nothing about the new one: it may have
// been overheard, or handed on. So the new address is a stranger, and gets at most twice what it
// sent; but it is worth a question at once (RFC 9000 section 8.2), where other strangers that did
// not ask get silence: the answer to it brings the new cookie, and with it standing.
//
//   - It asked something: the reply carries our cookie for the new address, as to every stranger,
//     and theirs as we know it from the old one, so that it believes us and echoes ours the next time.
//   - It did not, as with the blocks that a seeder still sends: it is asked whom it knows, at most
//     twice a second for each peer that seems to have moved. An answer is no question, so
//     nothing circles.
//
// Nothing is inherited: the entry of the old address stays, and is forgotten when its keepalives
// are not answered; the new one starts young. Otherwise one old peer could pass its age on to
// any number of addresses.

// challengeEvery is the least time between two such questions on account of one peer: two of them
// can be lost within the second or so that a transfer waits before it looks elsewhere.
const challengeEvery = 500 * time.Millisecond

// bindLocked notes the cookie that came back from e, so that it is recognised from elsewhere. The map
// is keyed with its own random seed and compares whole keys, so its timing tells nothing of a cookie.
func (t *Table) bindLocked(e *entry, text []byte, epoch uint64) {
	t.unbindLocked(e)
	e.epoch = epoch
	copy(e.cookie[:], text)
	t.cookies[e.cookie] = e
}

func (t *Table) unbindLocked(e *entry) {
	if e.epoch != 0 && t.cookies[e.cookie] == e {
		delete(t.cookies, e.cookie)
	}
	e.epoch = 0
}

// movedLocked finds the peer whose cookie a datagram without proof returned from another address,
// and how many bytes its own cookie takes in a reply.
func (t *Table) movedLocked(in *arrival, c *Cookies, now time.Time) (old netip.AddrPort, echo int) {
	for _, r := range in.returned {
		text := cookieText(r)
		if len(text) != cookieDigits {
			continue
		}
		o := t.cookies[[cookieDigits]byte(text)]
		if o == nil || o.addr == in.addr || !o.proven || !o.fresh(c, now) || t.bannedLocked(o.addr, now) {
			continue
		}
		if !in.asked {
			if now.Sub(o.challenged) < challengeEvery {
				return old, 0
			}
			o.challenged = now
		}
		return o.addr, echoLen(o.theirs)
	}
	return old, 0
}

const challengeText = `{"PleaseSendPeers":{}}`

// challenge asks a stranger who seems to be a peer that moved, within twice what came.
func (g *Gate) challenge(from wire.Sender) {
	if !g.echoes.moved(from.Addr) || g.table.shut(from.Addr, time.Now()) {
		return
	}
	limit := budget(from.Size)
	room := limit - 2 - pleaseLen - 1 - len(challengeText)
	if room < 0 {
		g.counts.refused[RefusedSize].Add(1)
		return
	}
	b := g.pool.Get().(*Batch)
	defer g.pool.Put(b)
	buf := b.openStranger(from.Addr, from.Via, limit)
	if echoLen(b.theirs)+1 > room {
		b.theirs = b.theirs[:0]
	}
	b.Close(append(buf, challengeText...), 0)
	_ = b.Flush() // counted there; the next datagram from there makes another one
}
