package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// Key is a node's own key pair. It does not change once made.
type Key struct {
	signing ed25519.PrivateKey
	public  PublicKey
	static  noise.DHKey      // the X25519 pair, for Noise
	agree   *ecdh.PrivateKey // the same
}

// NewKey draws a key from random.
func NewKey(random io.Reader) (*Key, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("identity: no randomness for a key: %w", err)
	}
	return KeyFromSeed(seed)
}

// KeyFromSeed returns the key of an Ed25519 seed (RFC 8032 section 5.1.5). The X25519
// secret is the clamped first half of SHA-512(seed), which is the scalar that Ed25519
// multiplies with, so that both public keys are one point.
func KeyFromSeed(seed [ed25519.SeedSize]byte) (*Key, error) {
	k := &Key{signing: ed25519.NewKeyFromSeed(seed[:])}
	k.public = PublicKey(k.signing.Public().(ed25519.PublicKey))
	half := sha512.Sum512(seed[:])
	secret := half[:32]
	secret[0] &= 248
	secret[31] &= 127
	secret[31] |= 64
	var err error
	if k.agree, err = ecdh.X25519().NewPrivateKey(secret); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	k.static = noise.DHKey{Private: secret, Public: k.agree.PublicKey().Bytes()}
	return k, nil
}

// Public returns the key that others know.
func (k *Key) Public() PublicKey { return k.public }

// Seed returns the secret from which KeyFromSeed makes the same key.
func (k *Key) Seed() [ed25519.SeedSize]byte {
	return [ed25519.SeedSize]byte(k.signing.Seed())
}
