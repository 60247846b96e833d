package wire

import (
	"bytes"
	"math"
	"strconv"
)

// maxFields bounds the fields of a payload that is decoded; known messages have
// at most six. The check for duplicate names compares each with each.
const maxFields = 24

// cursor walks the JSON of a payload; the first invalid byte stops it.
type cursor struct {
	data  []byte
	pos   int
	depth int // arrays and objects around pos
}

// value returns the bytes of the next value.
func (c *cursor) value() ([]byte, bool) {
	end := skipValue(c.data, c.pos, c.depth)
	if end < 0 {
		return nil, false
	}
	v := c.data[c.pos:end:end]
	c.pos = end
	return v, true
}

// text reads a string. It aliases the payload unless it has escapes.
func (c *cursor) text() ([]byte, bool) {
	if !c.at('"') {
		return nil, false
	}
	end, escaped := skipString(c.data, c.pos+1)
	if end < 0 {
		return nil, false
	}
	t := c.data[c.pos+1 : end-1 : end-1]
	c.pos = end
	if escaped {
		t = appendUnescaped(make([]byte, 0, len(t)), t)
	}
	return t, true
}

// integer reads a number that is written as an integer and lies within low and
// MaxInt64. It never goes through a float.
func (c *cursor) integer(low int64) (int64, bool) {
	if c.pos >= len(c.data) || c.data[c.pos] != '-' && c.data[c.pos]-'0' > 9 {
		return 0, false
	}
	end := skipNumber(c.data, c.pos)
	if end < 0 {
		return 0, false
	}
	digits := c.data[c.pos:end]
	negative := digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) > 19 { // as MaxInt64 has: u cannot overflow
		return 0, false
	}
	u := uint64(0)
	for _, d := range digits {
		if d < '0' || d > '9' { // a fraction or an exponent
			return 0, false
		}
		u = u*10 + uint64(d-'0')
	}
	c.pos = end
	n := int64(u)
	if negative {
		n = -n
	}
	return n, n >= low && (u <= math.MaxInt64 || negative && u == -math.MinInt64)
}

// array reads an array and calls item at each of its values, with the index;
// item consumes the value and reports whether it was valid JSON.
func (c *cursor) array(item func(i int) bool) bool {
	if !c.at('[') || c.depth >= MaxDepth {
		return false
	}
	c.depth++
	c.skip(1)
	for i := 0; !c.at(']'); i++ {
		if i > 0 {
			if !c.at(',') {
				return false
			}
			c.skip(1)
		}
		if !item(i) {
			return false
		}
		c.skip(0)
	}
	c.pos++
	c.depth--
	return true
}

// pair reads an array of two values, each consumed by its function. If either
// refuses, or the value is something else, the cursor passes the value and the
// pair is no good; it is not ok only if the value is not valid JSON.
func (c *cursor) pair(first, second func() bool) (good, ok bool) {
	start := *c
	if c.at('[') && c.depth < MaxDepth {
		c.depth++
		c.skip(1)
		if first() {
			if c.skip(0); c.at(',') {
				if c.skip(1); second() {
					if c.skip(0); c.at(']') {
						c.pos++
						c.depth--
						return true, true
					}
				}
			}
		}
	}
	*c = start
	return false, c.pass()
}

// skip passes n bytes and the white space after them.
func (c *cursor) skip(n int) { c.pos = skipSpace(c.data, c.pos+n) }

func (c *cursor) at(b byte) bool { return c.pos < len(c.data) && c.data[c.pos] == b }

// object walks the fields of a payload that must be one object:
//
//	o := object{cursor: begin(payload)}
//	for ok := true; o.next(ok); {
//		switch string(o.name) … ok tells whether the value was consumed
//	}
//	err := o.finish("Message")
//
// A name that occurs twice, escaped or not, is refused, and so are more than
// maxFields fields. It is a loop and not a callback so that nothing is allocated.
type object struct {
	cursor
	name   []byte // of the field whose value is next
	names  [maxFields][]byte
	n      int  // names so far
	closed bool // the closing brace was passed, with nothing after it
	failed bool // at the value of name
}

// begin returns a cursor at the start of a payload.
func begin(payload []byte) cursor { return cursor{data: payload, depth: payloadDepth} }

// next goes to the value of the next field; ok says whether the one before was
// consumed and acceptable. It is false at the end and at the first fault.
func (o *object) next(ok bool) bool {
	if !ok {
		o.failed = true
		return false
	}
	o.skip(0)
	switch {
	case o.n == 0 && o.at('{'):
		o.depth++
		if o.skip(1); o.at('}') {
			return o.close()
		}
	case o.n > 0 && o.at('}'):
		return o.close()
	case o.n > 0 && o.n < maxFields && o.at(','):
		o.skip(1)
	default:
		return false
	}
	if o.name, ok = o.text(); !ok {
		return false
	}
	for _, other := range o.names[:o.n] {
		if bytes.Equal(o.name, other) {
			return false
		}
	}
	o.names[o.n] = o.name
	o.n++
	if o.skip(0); !o.at(':') {
		return false
	}
	o.skip(1)
	return true
}

// close passes the closing brace. It is false, as the end of next is.
func (o *object) close() bool {
	o.skip(1)
	o.closed = o.pos == len(o.data)
	return false
}

// finish returns the error that the payload of a message deserves, if any.
func (o *object) finish(message string) error {
	switch {
	case o.failed:
		return refuse(message, string(o.name[:min(len(o.name), 16)]))
	case !o.closed:
		return refuse(message, "")
	}
	return nil
}

// pass consumes any value.
func (c *cursor) pass() bool {
	_, ok := c.value()
	return ok
}

// wholeValue returns a payload that may be any JSON, without the white space
// around it.
func wholeValue(message string, payload []byte) ([]byte, error) {
	c := begin(payload)
	c.skip(0)
	v, ok := c.value()
	if c.skip(0); !ok || c.pos != len(payload) {
		return nil, refuse(message, "")
	}
	return v, nil
}

// appendValue appends opaque JSON, or null where there is none.
func appendValue(dst, value []byte) []byte {
	if len(value) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, value...)
}

// room bounds the number of values from the cursor on, by the commas.
func (c *cursor) room(most int) int { return min(most, bytes.Count(c.data[c.pos:], comma)+1) }

var comma = []byte{','}

// appendInt appends a field that is an integer; key is what stands before it,
// such as `,"eof":`.
func appendInt(dst []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(dst, key...), n, 10)
}

// appendText appends a field that is a string.
func appendText[T ~string | ~[]byte](dst []byte, key string, s T) []byte {
	return appendString(append(dst, key...), s)
}
