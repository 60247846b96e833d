package swarm

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"sync"
	"time"

	"sharer/wire"
)

const (
	cookieDigits   = 16        // 64 bits
	rotateAfter    = time.Hour // the secret before the current one still counts
	returnedChecks = 4         // AlwaysReturned elements of one datagram that are looked at
	maxTheirs      = 256       // bytes of their cookie that we are willing to carry (wire.md section 2)
)

// Cookies makes and checks the cookies that prove an address: HMAC-SHA256 over address and
// port under a secret that lives for an hour, cut to 64 bits. Nothing is kept per address.
// It also signs the tokens of pings, under a secret that lives as long as the process.
type Cookies struct {
	rand io.Reader

	mu    sync.Mutex
	keys  [2]hash.Hash // the current one first
	ping  hash.Hash
	epoch uint64    // of keys[0]; starts at 2, so that 0 is never one of the two
	since time.Time // of keys[0]
	in    []byte    // what is hashed, overwritten each time
	sum   [sha256.Size]byte
}

// NewCookies draws its secrets from rand. A source of randomness that fails leaves no way to
// run safely: that is an error here and a stop of the rotation later.
func NewCookies(rand io.Reader, now time.Time) (*Cookies, error) {
	c := &Cookies{rand: rand, epoch: 2, since: now}
	for _, k := range []*hash.Hash{&c.keys[0], &c.keys[1], &c.ping} {
		h, err := c.key()
		if err != nil {
			return nil, fmt.Errorf("swarm: secret of the cookies: %w", err)
		}
		*k = h
	}
	return c, nil
}

func (c *Cookies) key() (hash.Hash, error) {
	var secret [32]byte
	if _, err := io.ReadFull(c.rand, secret[:]); err != nil {
		return nil, err
	}
	return hmac.New(sha256.New, secret[:]), nil
}

func (c *Cookies) rotateLocked(now time.Time) {
	hours := now.Sub(c.since) / rotateAfter
	for range min(hours, 2) { // after a longer pause both are new
		h, err := c.key()
		if err != nil {
			return // the old secret goes on: weaker, but alive
		}
		c.keys[0], c.keys[1] = h, c.keys[0]
		c.epoch++
	}
	c.since = c.since.Add(max(hours, 0) * rotateAfter)
}

// macLocked writes 64 bits of the keyed hash over address, port, n and zone as 16 hex digits.
func (c *Cookies) macLocked(dst *[cookieDigits]byte, h hash.Hash, a netip.AddrPort, n uint64) {
	a = Clean(a)
	b := a.Addr().As16()
	c.in = append(c.in[:0], b[:]...)
	c.in = binary.BigEndian.AppendUint16(c.in, a.Port())
	c.in = binary.BigEndian.AppendUint64(c.in, n)
	c.in = append(c.in, a.Addr().Zone()...) // last, so that its length needs no mark
	h.Reset()
	h.Write(c.in)
	h.Sum(c.sum[:0])
	hex.Encode(dst[:], c.sum[:cookieDigits/2])
}

// Make is our cookie for an address, 16 hex digits.
func (c *Cookies) Make(a netip.AddrPort, now time.Time) (text [cookieDigits]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked(now)
	c.macLocked(&text, c.keys[0], a, 0)
	return text
}

// Check reports whether text is a cookie that we made for the address in this epoch or the one
// before, and in which. The comparison takes the same time wherever they differ.
func (c *Cookies) Check(a netip.AddrPort, text []byte, now time.Time) (epoch uint64, ok bool) {
	if len(text) != cookieDigits {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked(now)
	for i, h := range c.keys {
		var want [cookieDigits]byte
		c.macLocked(&want, h, a, 0)
		if subtle.ConstantTimeCompare(want[:], text) == 1 {
			return c.epoch - uint64(i), true
		}
	}
	return 0, false
}

// Sign makes the 16 digits that stand for address and n, such as the time of a ping; it does not rotate.
func (c *Cookies) Sign(a netip.AddrPort, n uint64) (text [cookieDigits]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.macLocked(&text, c.ping, a, n)
	return text
}

// Current is the epoch of the cookies that are made now; the one before it is still accepted.
func (c *Cookies) Current(now time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked(now)
	return c.epoch
}

// plainText finds the text of {"cookie":"text"} as we write it; nil in any other spelling.
func plainText(value []byte) []byte {
	const pre, post = `{"cookie":"`, `"}`
	if len(value) == len(pre)+cookieDigits+len(post) && string(value[:len(pre)]) == pre {
		return value[len(pre) : len(pre)+cookieDigits]
	}
	return nil
}

// cookieText is plainText for other spellings too: a peer that decodes and encodes again puts a
// space.
func cookieText(value []byte) []byte {
	if text := plainText(value); text != nil || len(value) == 0 {
		return text
	}
	if text, ok := wire.CookieText(value); ok {
		return []byte(text)
	}
	return nil
}

const (
	pleaseOpen, pleaseClose = `{"PleaseAlwaysReturnThisMessage":{"cookie":"`, `"}}`
	echoOpen, echoClose     = `{"AlwaysReturned":`, `}`
	pleaseLen               = len(pleaseOpen) + cookieDigits + len(pleaseClose)
)

func appendPlease(dst []byte, text [cookieDigits]byte) []byte {
	dst = append(dst, pleaseOpen...)
	dst = append(dst, text[:]...)
	return append(dst, pleaseClose...)
}

func appendEcho(dst, theirs []byte) []byte {
	dst = append(dst, echoOpen...)
	dst = append(dst, theirs...)
	return append(dst, echoClose...)
}

func echoLen(theirs []byte) int {
	if len(theirs) == 0 {
		return 0
	}
	return len(echoOpen) + len(theirs) + len(echoClose)
}
