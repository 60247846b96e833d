package identity

import (
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"sharer/wire"
)

// NoiseParams is the one Noise protocol that is spoken: pattern IK, first message only,
// no prologue (wire.md section 7).
const NoiseParams = "Noise_IK_25519_AESGCM_SHA256"

// noiseOverhead is what sealing adds, in bytes: ephemeral key 32, static key 32 + tag 16, tag 16.
const noiseOverhead = 96

// MaxPlain is the longest plaintext that is sealed, in bytes: (48,000 + 96) / 3 * 4 = 64,128 in
// base64, which leaves 1379 of a datagram to its wrapping and to cookies.
const MaxPlain = 48_000

var (
	// ErrSealed is returned for what cannot be opened: it is for another key, damaged, or rubbish.
	ErrSealed = errors.New("identity: sealed for somebody else, or damaged")
	// ErrParams is returned for a Noise protocol that is not NoiseParams.
	ErrParams = errors.New("identity: another Noise protocol")
	// ErrLong is returned for a plaintext of more than MaxPlain bytes.
	ErrLong = errors.New("identity: too long to be sealed")
)

var suite = noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)

// Seal encrypts an array of messages for one key; its holder will know ours. random is
// where the ephemeral key comes from, 32 bytes.
func (k *Key) Seal(to PublicKey, plain []byte, random io.Reader) (wire.EncryptedMessages, error) {
	if len(plain) > MaxPlain {
		return wire.EncryptedMessages{}, ErrLong
	}
	theirs, err := to.x25519()
	if err != nil {
		return wire.EncryptedMessages{}, err
	}
	hs, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Random: random, Pattern: noise.HandshakeIK, Initiator: true, StaticKeypair: k.static, PeerStatic: theirs[:],
	})
	if err != nil {
		return wire.EncryptedMessages{}, fmt.Errorf("identity: %w", err)
	}
	data, _, _, err := hs.WriteMessage(nil, plain)
	if err != nil {
		return wire.EncryptedMessages{}, fmt.Errorf("identity: seal: %w", err)
	}
	return wire.EncryptedMessages{Data: data, Params: []byte(NoiseParams)}, nil
}

// openNoise decrypts a message and returns the X25519 key of its sender, who is
// authentic: nobody else could have made it, but for the holder of our own key.
func (k *Key) openNoise(m wire.EncryptedMessages) (plain []byte, sender [32]byte, err error) {
	if string(m.Params) != NoiseParams {
		return nil, sender, ErrParams
	}
	if len(m.Data) < noiseOverhead {
		return nil, sender, ErrSealed
	}
	hs, err := noise.NewHandshakeState(noise.Config{CipherSuite: suite, Pattern: noise.HandshakeIK, StaticKeypair: k.static})
	if err != nil {
		return nil, sender, fmt.Errorf("identity: %w", err)
	}
	plain, _, _, err = hs.ReadMessage(nil, m.Data)
	if err != nil || len(hs.PeerStatic()) != len(sender) {
		return nil, sender, ErrSealed
	}
	return plain, [32]byte(hs.PeerStatic()), nil
}
