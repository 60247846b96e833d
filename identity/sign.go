package identity

import (
	"crypto/ed25519"
	"errors"

	"sharer/wire"
)

// ErrSignature is returned for a signature that its key did not make of that payload.
var ErrSignature = errors.New("identity: the signature is wrong")

// Sign signs messages, in the form payload_json.
func (k *Key) Sign(ms ...wire.Message) wire.SignedMessage {
	return k.signBytes(wire.AppendArray(nil, ms...))
}

// signBytes signs a payload, which must be UTF-8 to survive as text.
func (k *Key) signBytes(payload []byte) wire.SignedMessage {
	return wire.SignedMessage{
		Ed25519:   k.public,
		Signature: [64]byte(ed25519.Sign(k.signing, payload)),
		Payload:   payload,
	}
}

// Verify opens a signed message: the error is ErrSignature, wraps ErrKey, or is
// wire.Split's. The letter aliases m.
func Verify(m wire.SignedMessage) (Letter, error) {
	from := PublicKey(m.Ed25519)
	if err := from.Check(); err != nil {
		return Letter{}, err
	}
	if !ed25519.Verify(from[:], m.Payload, m.Signature[:]) {
		return Letter{}, ErrSignature
	}
	l := Letter{Kind: Signed, From: from, Payload: m.Payload, signed: &m}
	return l, l.split()
}
