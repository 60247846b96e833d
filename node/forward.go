package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

// Recipient is whom messages are forwarded to: the holder of a key, or whoever is at an address.
type Recipient struct {
	Key  identity.PublicKey
	Addr netip.AddrPort // if Key is zero
}

// errArray is wrapped by Forward's error about what is no array of messages.
var errArray = errors.New("node: not an array of messages")

// Forward sends an array of messages, as JSON, once: to a key sealed, and after it was found; to an address sealed if it was
// proven who lives there. With sign they are signed first, so that their receiver can show them to others. It ends when
// they have left; ErrNoAnswer when ctx ends before the recipient was found.
func (n *Node) Forward(ctx context.Context, to Recipient, messages []byte, sign bool) error {
	ctx, end, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	es, bad, err := wire.Split(nil, messages)
	if err != nil || bad > 0 || len(es) == 0 {
		return fmt.Errorf("%w (%d elements that are none)", errArray, bad)
	}
	ms := make([]wire.Message, len(es))
	var plain []byte
	for i, e := range es {
		ms[i] = rawMessage{e}
		plain = append(wire.AppendMessage(plain, ms[i]), ',')
	}
	if sign {
		ms = []wire.Message{n.letters.opener.Key.Sign(ms...)}
		plain = append(wire.AppendMessage(nil, ms[0]), ',')
	}
	if to.Key != (identity.PublicKey{}) {
		p, err := n.find(ctx, to.Key)
		if err != nil {
			return err
		}
		return n.seal(p.Addr, to.Key, plain, nil)
	}
	a := swarm.Clean(to.Addr)
	if err := n.meet(ctx, a); err != nil {
		return err
	}
	if p, ok := n.letters.opener.Places.At(a); ok && p.Proven { // a claim may have come from anybody who forged the address
		return n.seal(a, p.Key, plain, nil)
	}
	return n.speak(a, ms...)
}

// rawMessage is an element that came in, to be sent on.
type rawMessage struct{ wire.Element }

func (m rawMessage) Name() string { return m.Element.Name }

func (m rawMessage) AppendPayload(dst []byte) []byte { return append(dst, m.Payload...) }
