package node

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sharer/identity"
	"sharer/swarm"
	"sharer/wire"
)

// letters opens what is signed or sealed, hands what is inside to the handlers, and seals their
// replies. It runs on the receive path: what it computes there is bounded by identity.Budget.
type letters struct {
	opener *identity.Opener
	gate   *swarm.Gate
	table  *swarm.Table
	mux    *wire.Mux
	names  *names
	random io.Reader // safe for concurrent use
	seen   swarm.Observers[Arrival]
	wanted func(identity.PublicKey, wire.Forwarded, wire.Sender) // an answer to WhereAreThey

	opened atomic.Int64
	counts [numLetterFaults]atomic.Int64
}

// register makes the node answer to the messages of wire.md section 7, and to WhereAreThey and its answer.
func (l *letters) register() {
	for _, name := range []string{wire.SignedMessage{}.Name(), wire.EncryptedMessages{}.Name(), wire.FastEncryptedMessages{}.Name()} {
		l.mux.Handle(name, wire.HandlerFunc(l.letter))
	}
	l.mux.Handle(wire.MyPublicKey{}.Name(), wire.HandlerFunc(l.myPublicKey))
	l.mux.Handle(wire.WhereAreThey{}.Name(), wire.HandlerFunc(l.whereAreThey))
	l.mux.Handle(wire.Forwarded{}.Name(), wire.HandlerFunc(l.forwarded))
}

// sealing is what a sealed reply needs beside the base64 of its 96 bytes and the array's brackets, in bytes: the name,
// the names of both fields, and the Noise protocol.
const sealing = len(`{"EncryptedMessages":{"base64":"","noise_params":"`+identity.NoiseParams+`"}},`) + 4*(96+2)/3 + 4

// letter opens a letter and dispatches what is inside, as from its author. Replies to a sealed one are sealed for
// that author; those to a signed one, which anybody may have sent, are not.
func (l *letters) letter(from wire.Sender, e wire.Element) []wire.Message {
	now := time.Now()
	letter, err := l.opener.Open(identity.WorkOf(from), from, e, now)
	if err != nil {
		l.refused(err)
		return nil
	}
	l.opened.Add(1)
	inside := from
	inside.Key, inside.Sealed = letter.From, letter.Kind != identity.Signed
	inside.Content = slices.ContainsFunc(letter.Elements, func(e wire.Element) bool { return e.Name == wire.Content{}.Name() })
	inside.Within++
	if l.opener.Places.Prove(letter, from.Addr, func(v []byte) bool { return l.gate.Ours(from.Addr, v) }, now) {
		inside.Proven = true // our cookie came back, inside; what may be sent is as it was for the datagram
	}
	l.tell(Arrival{From: from.Addr, Key: letter.From, Messages: letter.Payload, Spoofable: !inside.Proven})
	if !inside.Sealed {
		l.names.offer(letter, from)
	} else {
		inside.Room = max(0, (from.Room-sealing)/4*3)
	}
	replies, _ := l.mux.Dispatch(inside, letter.Elements)
	if len(replies) == 0 {
		return nil
	}
	if !inside.Sealed {
		ms := make([]wire.Message, len(replies))
		for i, r := range replies {
			ms[i] = encoded(r)
		}
		return ms
	}
	if !l.opener.PayReply(from, now) {
		l.refused(identity.ErrBudget)
		return nil
	}
	m, err := l.opener.Key.Seal(letter.From, arrayOf(replies), l.random)
	if err != nil {
		l.refused(err)
		return nil
	}
	return []wire.Message{m}
}

// encoded is a message that was encoded already, {"Name":payload}.
type encoded []byte

func (m encoded) Name() string { return string(m[2 : 2+bytes.IndexByte(m[2:], '"')]) } // handlers' names have no escapes

func (m encoded) AppendPayload(dst []byte) []byte {
	return append(dst, m[bytes.IndexByte(m, ':')+1:len(m)-1]...)
}

// arrayOf makes one array of encoded elements.
func arrayOf(es [][]byte) []byte {
	a := append([]byte{'['}, bytes.Join(es, []byte{','})...)
	return append(a, ']')
}

func (l *letters) myPublicKey(from wire.Sender, e wire.Element) []wire.Message {
	m, err := wire.ParseMyPublicKey(e.Payload)
	if err == nil {
		err = l.opener.Claim(identity.WorkOf(from), from, m, time.Now())
	}
	if err != nil {
		l.refused(err)
	}
	return nil
}

// whereAreThey tells where a key was proven to live, to those who can reach it. Who asks for us gets our key: the
// address is known to who asked.
func (l *letters) whereAreThey(from wire.Sender, e wire.Element) []wire.Message {
	m, err := wire.ParseWhereAreThey(e.Payload)
	if err != nil {
		return nil
	}
	if m.Ed25519 == l.opener.Key.Public() {
		return []wire.Message{wire.MyPublicKey{Ed25519: m.Ed25519}}
	}
	answer, ok := l.opener.Places.Answer(m)
	if !ok || !swarm.MayPass(answer.Src, swarm.ClassOf(from.Addr)) {
		return nil
	}
	return []wire.Message{answer}
}

// forwarded takes the answer to our own WhereAreThey, from a proven peer: an address to try. Whatever else is forwarded
// is its teller's word, and is left alone; those who observe datagrams see it.
func (l *letters) forwarded(from wire.Sender, e wire.Element) []wire.Message {
	if !from.Proven {
		return nil
	}
	m, err := wire.ParseForwarded(e.Payload)
	if err != nil {
		return nil
	}
	if k, _, err := identity.Hint(m); err == nil {
		l.wanted(k, m, from)
	}
	return nil
}

// letterFault is why a letter or a key was refused.
type letterFault uint8

const (
	faultForm letterFault = iota // no such payload, a bad key, or a wrong signature
	faultSealed
	faultBudget
	faultNesting
	faultReplay
	faultOwn
	faultUnknown
	numLetterFaults
)

// Letters counts what was signed or sealed and came in.
type Letters struct {
	Opened  int64
	Bad     int64 // no such payload, a key that cannot be used, a wrong signature
	Sealed  int64 // for somebody else, or damaged
	Budget  int64 // nothing was left to open it
	Nested  int64 // too deep, or too many in one datagram
	Replays int64 // opened before
	Own     int64 // our own
	Unknown int64 // of a sender whose key was never announced
}

func (l *letters) refused(err error) {
	f := faultForm
	for _, x := range []struct {
		err error
		f   letterFault
	}{
		{identity.ErrSealed, faultSealed}, {identity.ErrParams, faultSealed}, {identity.ErrBudget, faultBudget}, {identity.ErrNesting, faultNesting},
		{identity.ErrReplay, faultReplay}, {identity.ErrOwn, faultOwn}, {identity.ErrUnknown, faultUnknown},
	} {
		if errors.Is(err, x.err) {
			f = x.f
		}
	}
	l.counts[f].Add(1)
}

func (l *letters) stats() Letters {
	c := func(f letterFault) int64 { return l.counts[f].Load() }
	return Letters{
		Opened: l.opened.Load(), Bad: c(faultForm), Sealed: c(faultSealed), Budget: c(faultBudget), Nested: c(faultNesting),
		Replays: c(faultReplay), Own: c(faultOwn), Unknown: c(faultUnknown),
	}
}

// locked makes a reader safe for concurrent use.
type locked struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *locked) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, p)
}
