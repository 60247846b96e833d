// Package wire is the language that peers speak: datagrams that hold one JSON
// array of messages, each an object of exactly one key.
//
//	[{"PleaseSendPeers":{}},{"AlwaysReturned":{"cookie":"3de59ecd"}}]
//
// [Split] cuts a datagram into elements without decoding them. Each type of
// message has a file of its own with the type, its Name, AppendPayload and a
// decoder ParseX. A [Mux] hands elements to handlers and gathers their replies
// within the room that the sender has earned.
//
// What it promises:
//   - No datagram makes it panic, and none costs more than a fraction of a
//     millisecond: size, depth, number of elements, of fields and of entries are
//     bounded.
//   - A bad element never spoils its neighbours, an unknown field never spoils
//     its message.
//   - What is to be echoed is echoed byte for byte.
//   - What it writes is UTF-8 JSON, whatever bytes it was given.
//
// What it does not do: sockets, time, addresses that are worth trying, trust.
// It never checks that an id is a hash or that a cookie is ours.
//
// JSON is read strictly (RFC 8259, names case-sensitive, no lone surrogates).
// Decoded byte slices alias the payload unless it had escapes, so they live as
// long as the datagram's buffer does.
package wire

import (
	"errors"
	"strconv"
)

// The limits of the wire.
const (
	MaxDatagram   = 65507 // bytes of payload in a UDP datagram over IPv4: 65535 - 20 - 8
	MaxElements   = 64    // elements of a datagram that are looked at
	MaxDepth      = 32    // nesting of arrays and objects, the datagram's own array being 1
	CustomarySize = 5888  // bytes that peers customarily stay below: 4096 in base64 with wrapping
	HeaderBytes   = 28    // IPv4 and UDP headers, counted when replies are weighed against requests
)

// ErrPayload is wrapped by every error of the decoders.
var ErrPayload = errors.New("wire: bad payload")

// A Message can be put on the wire.
type Message interface {
	// Name is the type of the message, the one key of its element.
	Name() string
	// AppendPayload appends the payload as JSON. It allocates nothing but what
	// dst needs to grow.
	AppendPayload(dst []byte) []byte
}

// AppendMessage appends the element {"Name":payload}.
func AppendMessage(dst []byte, m Message) []byte {
	dst = append(dst, '{')
	dst = appendString(dst, m.Name())
	dst = append(dst, ':')
	dst = m.AppendPayload(dst)
	return append(dst, '}')
}

// AppendArray appends a whole datagram, [element,element,…].
func AppendArray(dst []byte, ms ...Message) []byte {
	dst = append(dst, '[')
	for i, m := range ms {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendMessage(dst, m)
	}
	return append(dst, ']')
}

// payloadError says which message and which of its fields was refused; an
// empty field means that the payload as a whole was not of the right shape.
type payloadError struct{ message, field string }

func (e *payloadError) Error() string {
	if e.field == "" {
		return "wire: bad payload of " + e.message
	}
	return "wire: bad payload of " + e.message + ": " + strconv.Quote(e.field) + " is missing or bad"
}

func (e *payloadError) Unwrap() error { return ErrPayload }

func refuse(message, field string) error { return &payloadError{message, field} }
