package identity

import (
	"crypto/sha256"
	"errors"
	"time"

	"sharer/wire"
)

// Bounds of one datagram (reliability.md A16).
const (
	maxNesting = 4 // letters within letters
	maxOpened  = 4 // letters and new keys of one datagram that cost a computation on the curve
)

var (
	ErrNesting = errors.New("identity: too many letters within letters, or in one datagram")
	ErrBudget  = errors.New("identity: no budget left to open it")
	ErrReplay  = errors.New("identity: opened before")
	ErrOwn     = errors.New("identity: our own key")
	ErrStale   = errors.New("identity: made too long ago, or in the future")
	ErrUnknown = errors.New("identity: a sender whose key was never announced")
	ErrKind    = errors.New("identity: no letter")
)

// Work is what one datagram has cost so far. Each datagram gets a new one, and each letter
// within it an Inside of that.
type Work struct {
	depth  int
	opened *int
}

// NewWork is for a datagram.
func NewWork() Work { return Work{opened: new(int)} }

// WorkOf is for an element as its Sender describes it: Inside is then told by Sender.Within.
func WorkOf(from wire.Sender) Work {
	if from.Opened == nil {
		return NewWork()
	}
	return Work{depth: from.Within, opened: from.Opened}
}

// Inside is for the elements of a letter that was opened with w.
func (w Work) Inside() Work { return Work{depth: w.depth + 1, opened: w.opened} }

// take reports whether one more computation is allowed.
func (w Work) take() bool {
	if w.depth >= maxNesting || *w.opened >= maxOpened {
		return false
	}
	*w.opened++
	return true
}

// Opener opens letters, each at its price.
type Opener struct {
	Key     *Key
	Places  *Places
	Replays *Replays
	Budget  *Budget
}

// Open opens a SignedMessage, EncryptedMessages or FastEncryptedMessages. What can be refused
// for less is refused before anything is computed. The letter may alias the element.
//
// Our own signature comes back from those who pass it on; of such a letter only Latest is left.
func (o *Opener) Open(w Work, from wire.Sender, e wire.Element, now time.Time) (Letter, error) {
	switch e.Name {
	case wire.SignedMessage{}.Name():
		return o.signed(w, from, e, now)
	case wire.EncryptedMessages{}.Name():
		return o.noise(w, from, e, now)
	case wire.FastEncryptedMessages{}.Name():
		return o.fast(w, from, e, now)
	}
	return Letter{}, ErrKind
}

// PayReply takes the price of sealing a reply to a letter that from sent: it is work that others
// have us do.
func (o *Opener) PayReply(from wire.Sender, now time.Time) bool {
	return o.Budget.charge(from.Proven && o.Places.Lives(from.Addr), priceNoise, now)
}

// pay takes the price of a computation from the datagram and from the budget.
func (o *Opener) pay(w Work, from wire.Sender, price int, now time.Time) error {
	if !w.take() {
		return ErrNesting
	}
	if !o.Budget.Allow(from, from.Proven && o.Places.Lives(from.Addr), price, now) {
		return ErrBudget
	}
	return nil
}

func (o *Opener) signed(w Work, from wire.Sender, e wire.Element, now time.Time) (Letter, error) {
	if w.depth >= maxNesting { // before its base64 is
		return Letter{}, ErrNesting
	}
	m, err := wire.ParseSignedMessage(e.Payload)
	if err != nil {
		return Letter{}, err
	}
	if err := o.pay(w, from, priceSigned, now); err != nil {
		return Letter{}, err
	}
	l, err := Verify(m)
	if err != nil || l.From != o.Key.public {
		return l, err
	}
	kept := l.Elements[:0]
	for _, e := range l.Elements {
		if e.Name == (wire.Latest{}).Name() {
			kept = append(kept, e)
		}
	}
	if l.Elements = kept; len(kept) == 0 {
		return Letter{}, ErrOwn
	}
	return l, nil
}

func (o *Opener) noise(w Work, from wire.Sender, e wire.Element, now time.Time) (Letter, error) {
	if w.depth >= maxNesting {
		return Letter{}, ErrNesting
	}
	m, err := wire.ParseEncryptedMessages(e.Payload)
	if err != nil {
		return Letter{}, err
	}
	if len(m.Data) < noiseOverhead {
		return Letter{}, ErrSealed
	}
	once := [32]byte(m.Data[:32]) // the ephemeral key
	if o.Replays.Seen(once, now) {
		return Letter{}, ErrReplay
	}
	if err := o.pay(w, from, priceNoise, now); err != nil {
		return Letter{}, err
	}
	plain, u, err := o.Key.openNoise(m)
	if err != nil {
		return Letter{}, err
	}
	if u == [32]byte(o.Key.static.Public) {
		return Letter{}, ErrOwn
	}
	sender, ok := o.Places.ByX25519(u)
	if !ok {
		return Letter{}, ErrUnknown
	}
	return o.once(Letter{Kind: Encrypted, From: sender, Payload: plain}, once, now)
}

func (o *Opener) fast(w Work, from wire.Sender, e wire.Element, now time.Time) (Letter, error) {
	if w.depth >= maxNesting {
		return Letter{}, ErrNesting
	}
	m, err := wire.ParseFastEncryptedMessages(e.Payload)
	if err != nil {
		return Letter{}, err
	}
	if PublicKey(m.Sender) == o.Key.public {
		return Letter{}, ErrOwn
	}
	once := fastID(m)
	if o.Replays.Seen(once, now) {
		return Letter{}, ErrReplay
	}
	if err := o.pay(w, from, priceFast, now); err != nil {
		return Letter{}, err
	}
	plain, err := o.Key.openFast(m)
	if err != nil {
		return Letter{}, err
	}
	// Who carries it can turn the sender into its negative, which has the same secret.
	if u, err := PublicKey(m.Sender).x25519(); err != nil {
		return Letter{}, err
	} else if k, ok := o.Places.ByX25519(u); ok && k != PublicKey(m.Sender) {
		return Letter{}, ErrUnknown
	}
	return o.once(Letter{Kind: Fast, From: m.Sender, Payload: plain}, once, now)
}

// once splits a letter that was opened, unless another goroutine did meanwhile.
func (o *Opener) once(l Letter, id [32]byte, now time.Time) (Letter, error) {
	if !o.Replays.Add(id, now) {
		return Letter{}, ErrReplay
	}
	return l, l.split()
}

// fastID names a fast message: a nonce is used once between two keys. The ciphertext is left
// out, and so is the sender's sign, which is the same secret.
func fastID(m wire.FastEncryptedMessages) [32]byte {
	m.Sender[31] &= 0x7F
	return sha256.Sum256(append(append(make([]byte, 0, 44), m.Sender[:]...), m.Nonce[:]...))
}

// Sent notes a fast message of ours, so that it is not taken for one of its receiver's when
// somebody sends it back under that name.
func (o *Opener) Sent(to PublicKey, m wire.FastEncryptedMessages, now time.Time) {
	m.Sender = to
	o.Replays.Add(fastID(m), now)
}

// Claim takes a MyPublicKey from an address: it is a claim, and never moves a key that is known.
func (o *Opener) Claim(w Work, from wire.Sender, m wire.MyPublicKey, now time.Time) error {
	k := PublicKey(m.Ed25519)
	if k == o.Key.public {
		return ErrOwn
	}
	if o.Places.Heard(k, from.Addr, now) {
		return nil
	}
	if err := o.pay(w, from, priceKey, now); err != nil {
		return err
	}
	u, err := k.x25519()
	if err != nil {
		return err
	}
	o.Places.claim(k, u, from.Addr, now)
	return nil
}
