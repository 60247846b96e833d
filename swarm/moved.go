package swarm

import (
	"net/netip"
	"time"
)

// A peer whose address changes (a NAT that forgot it, a network that was left) goes on returning
// the cookie that we made for the old address. That proves nothing about the new one: it may have
// been overheard, or handed on. So the new address is a stranger, and gets at most twice what it
// sent; but it is worth a question at once (RFC 9000 section 8.2), where other strangers that did
// not ask get silence: the answer to it brings the new cookie, and with it standing.
//
//   - The reply to it carries our cookie for the new address, as to every stranger, and theirs as
//     we know it from the old one, so that it believes us and echoes ours the next time.
//   - It is asked whom it knows, so that this next time is now, also where nothing else was asked, as
//     with the blocks that a seeder still sends, or its keepalive. That happens at most twice a
//     second for each peer that seems to have moved; the answer to it is proven, so nothing circles.
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

// moved is what a datagram without proof tells of where its sender was before.
type moved struct {
	old  netip.AddrPort // not valid: nowhere that we know of
	ask  bool           // ask it something now
	room int            // bytes of the reply that this takes
}

// movedLocked finds the peer whose cookie a datagram returned from another address.
func (t *Table) movedLocked(in *arrival, c *Cookies, now time.Time) (m moved) {
	for _, r := range in.returned {
		text := cookieText(r)
		if len(text) != cookieDigits {
			continue
		}
		o := t.cookies[[cookieDigits]byte(text)]
		if o == nil || o.addr == in.addr || !o.proven || !o.fresh(c, now) || t.bannedLocked(o.addr, now) {
			continue
		}
		m.old = o.addr
		if m.ask = now.Sub(o.challenged) >= challengeEvery; m.ask {
			o.challenged = now
			m.room = len(challengeText) + 1
		}
		if len(in.theirs) == 0 && len(o.theirs) > 0 {
			m.room += echoLen(o.theirs) + 1
		}
		break
	}
	return m
}

const challengeText = `{"PleaseSendPeers":{}}`
