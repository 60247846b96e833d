package identity

import (
	"sharer/wire"
)

// Kind is how a letter was closed.
type Kind uint8

const (
	Signed    Kind = iota + 1 // anybody may have passed it on, to anybody, at any time
	Encrypted                 // by Noise: to us, and seen once
	Fast                      // by the shared secret: to us, and seen once
)

// Letter is what was inside a signed or an encrypted message.
type Letter struct {
	Kind     Kind
	From     PublicKey // proven
	Payload  []byte    // the array, as it came
	Elements []wire.Element
	Bad      int // elements that were none

	signed *wire.SignedMessage // set for Signed by Verify alone
}

func (l *Letter) split() error {
	var err error
	l.Elements, l.Bad, err = wire.Split(nil, l.Payload)
	if err != nil {
		*l = Letter{}
	}
	return err
}
