package identity

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

// PublicKey is an Ed25519 public key (RFC 8032), as it came: see Check.
type PublicKey [ed25519.PublicKeySize]byte

// ErrKey is wrapped by every error about a key that cannot be used.
var ErrKey = errors.New("not a usable Ed25519 key")

// ParsePublicKey reads 64 hex digits, which may have 0x before them, and checks the key.
func ParsePublicKey(text string) (PublicKey, error) {
	var k PublicKey
	digits := strings.TrimPrefix(text, "0x")
	if len(digits) != 2*len(k) {
		return PublicKey{}, fmt.Errorf("%w: %d hex digits are needed", ErrKey, 2*len(k))
	}
	if _, err := hex.Decode(k[:], []byte(digits)); err != nil {
		return PublicKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := k.Check(); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// String returns 64 hex digits, as the wire has them.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText is String, for JSON; the zero key is empty.
func (k PublicKey) MarshalText() ([]byte, error) {
	if k == (PublicKey{}) {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText is ParsePublicKey; nothing is the zero key.
func (k *PublicKey) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*k = PublicKey{}
		return nil
	}
	*k, err = ParsePublicKey(string(text))
	return err
}

// Check returns an error that wraps ErrKey unless k is a point of the curve in its one
// encoding, and not one of the eight of small order, with which anybody could sign or
// share a secret.
func (k PublicKey) Check() error {
	_, err := k.x25519()
	return err
}

// x25519 returns the key of the same holder on the Montgomery curve, u = (1+y)/(1-y).
// It is the same for a key and for its negative.
func (k PublicKey) x25519() (u [32]byte, err error) {
	p, err := new(edwards25519.Point).SetBytes(k[:])
	if err != nil {
		return u, fmt.Errorf("%w: no point of the curve", ErrKey)
	}
	if PublicKey(p.Bytes()) != k {
		return u, fmt.Errorf("%w: not in canonical form", ErrKey)
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return u, fmt.Errorf("%w: a point of small order", ErrKey)
	}
	return [32]byte(p.BytesMontgomery()), nil
}
