package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// references decode by an ordinary JSON library what the scanner decodes by hand: for every payload the result must be
// the same, or both must refuse it.
var references = map[string]func(payload []byte) (m Message, ok bool){
	"Content":           func(p []byte) (Message, bool) { return referenceContent(p) },
	"PleaseSendContent": func(p []byte) (Message, bool) { return referencePleaseSendContent(p) },
}

// odd are payloads at the edges of what both messages take.
var odd = []string{
	`{"id":"x","offset":0,"length":1,"l\u0065ngth":1}`,
	`{"i\u0064":"\u0078\ud83d\ude00","offset":-0,"length":9223372036854775807,"raw":4294967296}`,
	` { "id" : "x" , "offset" : 7 , "length" : 1e3 } `,
	`{"id":"x","offset":1.0,"length":1,"a":{"b":1,"b":2}}`,
	`{"id":"x","offset":0,"base64":"","have":[[0,1],[2,2]],"eof":null}`,
	`{"id":"x","offset":0,"length":4096,"raw":7,"each":-1}`,
	`{"id":"x","offset":0,"length":4096,"raw":"7","each":1024,"each":1}`,
	`{"raw":65508,"for":7,"offset":9223372036854710300}`,
	`{"raw":65507,"for":4294967295,"offset":9223372036854710300,"base64":null}`,
	`{"id":"x","offset":0,"base64":"a\/b=","eof":null,"have":[[0,1],[2,3],[1,[2]]],"blake3":"\u0041` + strings.Repeat("0", 58) + `"}`,
	`{"id":"x","offset":0,"base64":"","have":[` + strings.Repeat("[0,1],", 16) + `[5]]}`,
	`{"id":"x","offset":0,"base64":"","blake3":"` + strings.Repeat("aF", 32) + `","eof":18446744073709551616}`,
	`{` + strings.Repeat(`"":0,`, 2) + `"id":"x","offset":0,"length":1,"base64":""}`,
	`{"id":"x","offset":0,"length":1,"base64":"","deep":` + strings.Repeat("[", MaxDepth-payloadDepth) + strings.Repeat("]", MaxDepth-payloadDepth) + `}`,
	`{"id":"x","offset":0,"length":1,"base64":"","deep":` + strings.Repeat("[", MaxDepth-payloadDepth-1) + strings.Repeat("]", MaxDepth-payloadDepth-1) + `}`,
}

func TestScannerAgainstReference(t *testing.T) {
	for name, reference := range references {
		taken := 0
		for _, payload := range odd {
			m, err := decoders[name]([]byte(payload))
			againstReference(t, reference, []byte(payload), m, err)
			if err == nil {
				taken++
			}
		}
		if taken == 0 || taken == len(odd) {
			t.Errorf("%s: %d of %d are taken: they are no edges", name, taken, len(odd))
		}
	}
}

// againstReference fails if m and err are not what the reference says.
func againstReference(t *testing.T, reference func([]byte) (Message, bool), payload []byte, m Message, err error) {
	t.Helper()
	want, ok := reference(payload)
	if ok != (err == nil) {
		t.Fatalf("%q: %v; the reference takes it: %v", payload, err, ok)
	}
	if ok && !same(want, m) {
		t.Fatalf("%q is %+v, by the reference %+v", payload, m, want)
	}
}

// members are the fields of one JSON object, by name, and false for what is none, has a field twice, or passes the bounds.
func members(payload []byte) (fields map[string]jsontext.Value, ok bool) {
	if !wellFormed(payload) || depthOf(payload) > MaxDepth-payloadDepth {
		return nil, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(payload), jsontext.AllowDuplicateNames(true))
	if open, err := d.ReadToken(); err != nil || open.Kind() != '{' {
		return nil, false
	}
	fields = map[string]jsontext.Value{}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		key := name.String()
		value, err := d.ReadValue()
		if _, twice := fields[key]; err != nil || twice || len(fields) == maxFields {
			return nil, false
		}
		fields[key] = value.Clone()
	}
	if _, err := d.ReadToken(); err != nil { // the closing brace
		return nil, false
	}
	_, err := d.ReadToken()
	return fields, err == io.EOF
}

func referenceText(v jsontext.Value) (s []byte, ok bool) {
	if v.Kind() != '"' {
		return nil, false
	}
	var text string
	if json.Unmarshal(v, &text) != nil {
		return nil, false
	}
	return []byte(text), true
}

// referenceInt reads what is written as an integer that is at least low.
func referenceInt(v jsontext.Value, low int64) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil && n >= low
}

// referenceHandle is 0 for whatever is no handle.
func referenceHandle(v jsontext.Value) Handle {
	if n, ok := referenceInt(v, 1); ok && n <= math.MaxUint32 {
		return Handle(n)
	}
	return 0
}

func referenceHave(v jsontext.Value) []Range {
	var list []json.RawMessage
	if v.Kind() != '[' || json.Unmarshal(v, &list) != nil {
		return nil
	}
	rs := make([]Range, 0, len(list))
	for _, item := range list[:min(len(list), maxHave)] {
		var pair []json.RawMessage
		if jsontext.Value(item).Kind() != '[' || json.Unmarshal(item, &pair) != nil || len(pair) != 2 {
			return nil
		}
		from, ok := referenceInt(jsontext.Value(pair[0]), 0)
		to, ok2 := referenceInt(jsontext.Value(pair[1]), 1)
		if !ok || !ok2 || from >= to {
			return nil
		}
		rs = append(rs, Range{from, to})
	}
	return rs
}

func referenceContent(payload []byte) (m Content, ok bool) {
	fields, ok := members(payload)
	if !ok {
		return Content{}, false
	}
	m = Content{Offset: -1, EOF: -1}
	raw := int64(-1)
	for name, v := range fields {
		switch name {
		case "id":
			m.ID, ok = referenceText(v)
		case "offset":
			m.Offset, ok = referenceInt(v, 0)
		case "base64":
			m.Base64, ok = referenceText(v)
		case "raw":
			if n, is := referenceInt(v, 0); is {
				raw = n
			}
		case "for":
			m.For = referenceHandle(v)
		case "eof":
			if v.Kind() != 'n' {
				m.EOF, ok = referenceInt(v, 0)
			}
		case "have":
			m.Have = referenceHave(v)
		case "blake3":
			digits := strings.Trim(string(v), `"`)
			if v.Kind() == '"' && len(v) == 66 && len(digits) == 64 && strings.Trim(digits, "0123456789abcdefABCDEF") == "" {
				m.BLAKE3 = []byte(digits)
			}
		}
		if !ok {
			return Content{}, false
		}
	}
	_, inBase64 := fields["base64"]
	if inBase64 || raw < 0 || raw > MaxDatagram {
		m.For = 0
	}
	if m.For != 0 {
		m.ID, m.Raw = nil, int(raw)
	} else if len(m.ID) == 0 || !inBase64 {
		return Content{}, false
	}
	if m.Offset < 0 || m.Offset > math.MaxInt64-MaxDatagram {
		return Content{}, false
	}
	return m, true
}

func referencePleaseSendContent(payload []byte) (m PleaseSendContent, ok bool) {
	fields, ok := members(payload)
	if !ok {
		return PleaseSendContent{}, false
	}
	var has [3]bool
	for name, v := range fields {
		switch name {
		case "id":
			m.ID, ok = referenceText(v)
			has[0] = len(m.ID) > 0
		case "offset":
			m.Offset, ok = referenceInt(v, 0)
			has[1] = m.Offset < math.MaxInt64
		case "length":
			m.Length, ok = referenceInt(v, 1)
			has[2] = true
		case "raw":
			m.Raw = referenceHandle(v)
		case "each":
			if n, is := referenceInt(v, 0); is {
				m.Each = n
			}
		}
		if !ok {
			return PleaseSendContent{}, false
		}
	}
	if m.Raw == 0 {
		m.Each = 0
	}
	m.Length = min(m.Length, math.MaxInt64-m.Offset)
	return m, has == [3]bool{true, true, true}
}
