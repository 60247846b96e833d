package wire

import "strconv"

// A raw answer is a Content whose bytes stand behind the array, as they are, in place of base64 inside it:
//
//	[{"PleaseSendContent":{"id":"blake3/…","offset":8192,"length":4096,"raw":77}},…]
//	[{"Content":{"raw":4096,"for":77,"offset":8192,"eof":1073741824}},…]<4096 bytes>
//
// With "each":N beside raw the answer is as many of these as its length takes of N bytes each, every one with an offset of its own.
//
// It is sent to nobody but who asked for it by the field raw, with proof of its address, and under the handle that
// it gave there, which stands for the id. What an array is followed by is bound twice: the first
// element is a Content that begins with raw, and raw says how long what follows is. So no
// datagram without both is taken that would not have been taken before.

// Handle is what an asker wants an id to be called in raw answers: 1 to 4294967295, 0 being none.
type Handle uint32

// rawStart is how the payload begins that lets something follow the array. Spelled otherwise it does not.
const rawStart = `{"raw":`

// appendRaw appends the payload of a raw answer.
func (m Content) appendRaw(dst []byte) []byte {
	n := m.Raw
	if m.Data != nil {
		n = len(m.Data)
	}
	dst = appendInt(dst, rawStart, int64(n))
	dst = appendInt(dst, `,"for":`, int64(m.For))
	dst = appendInt(dst, `,"offset":`, m.Offset)
	return m.appendHints(dst)
}

// follows says whether n bytes may follow the array whose first element is e.
func (e *Element) follows(n int) bool {
	if e.Name != "Content" || len(e.Payload) < len(rawStart) || string(e.Payload[:len(rawStart)]) != rawStart {
		return false
	}
	digits := e.Payload[len(rawStart):]
	var room [20]byte
	want := append(strconv.AppendInt(room[:0], int64(n), 10), ',')
	return len(digits) >= len(want) && string(digits[:len(want)]) == string(want)
}

// handle reads a handle; any other value is none.
func (c *cursor) handle() (Handle, bool) {
	n, ok := c.count()
	if n < 1 || n > 1<<32-1 {
		n = 0
	}
	return Handle(n), ok
}

// count reads an integer that is not negative, and is -1 for any other value.
func (c *cursor) count() (int64, bool) {
	start := *c
	if n, ok := c.integer(0); ok {
		return n, true
	}
	*c = start
	return -1, c.pass()
}
