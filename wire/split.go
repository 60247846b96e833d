package wire

import "errors"

// Errors of Split: the datagram is dropped as a whole.
var (
	ErrNotArray = errors.New("wire: not a JSON array") // also truncated, unbalanced, or with something after it
	ErrTooLarge = errors.New("wire: datagram too large")
	ErrTooDeep  = errors.New("wire: nested too deeply")
)

// Element is one message of a datagram, still raw. Payload and Raw alias the
// datagram; Payload has no white space around it.
type Element struct {
	Name    string
	Payload []byte // the raw JSON value, byte for byte
	Raw     []byte // the whole {"Name":payload}
	Rest    []byte // of the first element: what follows the array, if that may be (raw.go)
}

// Split appends the elements of a datagram to dst. An element that is not an
// object of exactly one key, or is not valid JSON in valid UTF-8, is counted in
// bad and its neighbours live, as long as quotes and brackets balance. Elements
// beyond the first MaxElements, good or not, are counted in bad unseen.
//
// On an error (ErrNotArray, ErrTooLarge, ErrTooDeep) dst is returned as it was.
// Names that the wire knows are interned, so that splitting ordinary traffic
// allocates nothing but what dst needs to grow.
func Split(dst []Element, data []byte) (es []Element, bad int, err error) {
	if len(data) > MaxDatagram {
		return dst, 0, ErrTooLarge
	}
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return dst, 0, ErrNotArray
	}
	i = skipSpace(data, i+1)
	es = dst
	if i < len(data) && data[i] == ']' {
		return finish(dst, es, 0, data, i)
	}
	for seen := 0; ; seen++ {
		end := -1
		if seen < MaxElements {
			var e Element
			if e, end = readElement(data, i); end >= 0 {
				es = append(es, e)
			}
		}
		if end < 0 { // bad, or too many: where does it end?
			bad++
			var more int
			if end, more, err = skipElement(data, i, seen >= MaxElements); err != nil {
				return dst, 0, err
			}
			bad += more
		}
		if data[end] == ']' {
			return finish(dst, es, bad, data, end)
		}
		i = skipSpace(data, end+1)
	}
}

// finish refuses what follows the array's closing bracket at data[end], unless the first element says
// that it does.
func finish(dst, es []Element, bad int, data []byte, end int) ([]Element, int, error) {
	if rest := data[end+1:]; len(es) > len(dst) && len(rest) > 0 && es[len(dst)].follows(len(rest)) {
		es[len(dst)].Rest = rest[:len(rest):len(rest)]
		return es, bad, nil
	}
	if skipSpace(data, end+1) != len(data) {
		return dst, 0, ErrNotArray
	}
	return es, bad, nil
}

// readElement reads the element that starts at data[i] and returns the index
// of the comma or bracket after it, or -1 if it is no valid element.
func readElement(data []byte, i int) (Element, int) {
	start := i
	if i >= len(data) || data[i] != '{' {
		return Element{}, -1
	}
	i = skipSpace(data, i+1)
	if i >= len(data) || data[i] != '"' {
		return Element{}, -1
	}
	end, escaped := skipString(data, i+1)
	if end < 0 {
		return Element{}, -1
	}
	name := data[i+1 : end-1]
	if i = skipSpace(data, end); i >= len(data) || data[i] != ':' {
		return Element{}, -1
	}
	i = skipSpace(data, i+1)
	if end = skipValue(data, i, payloadDepth); end < 0 {
		return Element{}, -1
	}
	payload := data[i:end:end]
	if i = skipSpace(data, end); i >= len(data) || data[i] != '}' {
		return Element{}, -1
	}
	raw := data[start : i+1 : i+1]
	if i = skipSpace(data, i+1); i >= len(data) || data[i] != ',' && data[i] != ']' {
		return Element{}, -1
	}
	if escaped {
		name = appendUnescaped(nil, name)
	}
	return Element{Name: intern(name), Payload: payload, Raw: raw}, i
}

// skipElement returns the index of the comma or bracket that ends the element
// at data[i]. It knows strings and brackets only, so it gets past elements that
// are no JSON at all. If it is to go through all the elements up to the closing
// bracket, it also returns how many there were after the first.
func skipElement(data []byte, i int, all bool) (end, more int, err error) {
	depth := 1         // inside the datagram's own array
	var objects uint64 // a stack of bits, the lowest is the innermost: 1 an object, 0 an array
	for ; i < len(data); i++ {
		c := data[i]
		if !structural[c] {
			continue
		}
		switch c {
		case '"':
			if i = skipQuoted(data, i+1); i < 0 {
				return 0, 0, ErrNotArray
			}
			i--
		case '[', '{':
			if depth++; depth > MaxDepth {
				return 0, 0, ErrTooDeep
			}
			objects <<= 1
			if c == '{' {
				objects |= 1
			}
		case ']', '}':
			if depth == 1 && c == ']' {
				return i, more, nil
			}
			if depth == 1 || (objects&1 == 1) != (c == '}') {
				return 0, 0, ErrNotArray
			}
			depth--
			objects >>= 1
		case ',':
			if depth > 1 {
				continue
			}
			if !all {
				return i, 0, nil
			}
			more++
		}
	}
	return 0, 0, ErrNotArray
}

// structural are the bytes that skipElement stops at.
var structural = [256]bool{'"': true, '[': true, '{': true, ']': true, '}': true, ',': true}
