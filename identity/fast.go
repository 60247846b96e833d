package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
	"io"

	"sharer/wire"
)

// shared returns AES-256-GCM under SHA-256 of the static X25519 secret that k shares with
// the holder of a key (wire.md section 7). It is the same in both directions and for ever.
func (k *Key) shared(with PublicKey) (cipher.AEAD, error) {
	u, err := with.x25519()
	if err != nil {
		return nil, err
	}
	theirs, err := ecdh.X25519().NewPublicKey(u[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	secret, err := k.agree.ECDH(theirs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return cipher.NewGCM(block)
}

// SealFast encrypts an array of messages for one key, without an ephemeral key. random is
// where the nonce comes from, 12 bytes that must not repeat: with 2^32 messages between two
// keys a collision has a chance of 2^-33 (NIST SP 800-38D section 8.3).
func (k *Key) SealFast(to PublicKey, plain []byte, random io.Reader) (wire.FastEncryptedMessages, error) {
	if len(plain) > MaxPlain {
		return wire.FastEncryptedMessages{}, ErrLong
	}
	aead, err := k.shared(to)
	if err != nil {
		return wire.FastEncryptedMessages{}, err
	}
	m := wire.FastEncryptedMessages{Sender: k.public}
	if _, err := io.ReadFull(random, m.Nonce[:]); err != nil {
		return wire.FastEncryptedMessages{}, fmt.Errorf("identity: no randomness for a nonce: %w", err)
	}
	m.Ciphertext = aead.Seal(nil, m.Nonce[:], plain, nil)
	return m, nil
}

// openFast decrypts a message. Both ends can make it, so one that we sent ourselves and
// that names the receiver as its sender opens too; its nonce is known then, see Replays.
func (k *Key) openFast(m wire.FastEncryptedMessages) ([]byte, error) {
	aead, err := k.shared(m.Sender)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, m.Nonce[:], m.Ciphertext, nil)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
