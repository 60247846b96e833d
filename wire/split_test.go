package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestSplit(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		data string
		want string // names and payloads
		bad  int
		err  error
	}{
		{data: `[]`},
		{data: " [ \t\r\n] \n"},
		{data: `[{"A":1}]`, want: "A=1"},
		{data: ` [ { "A" : {"x": [1, 2]} } , {"B":"]"} ] `, want: `A={"x": [1, 2]} B="]"`},
		{data: `[{"Pe\u0065rs":{}}]`, want: "Peers={}"},
		{data: `[{"\"\\\/\b\f\n\r\t\ud83d\ude00é":0}]`, want: "\"\\/\b\f\n\r\t😀é=0"},
		{data: `[{"A":1},{},{"B":2,"C":3},5,"x",null,[],{"D":4}]`, want: "A=1 D=4", bad: 6},
		{data: `[{"A":01},{"A":1.},{"A":+1},{"A":.5},{"A":1e},{"A":-},{"A":tru},{"A":nul},{"B":2}]`, want: "B=2", bad: 8},
		{data: `[{"A":-0.5e+10},{"A":0},{"A":true},{"A":false},{"A":null}]`, want: "A=-0.5e+10 A=0 A=true A=false A=null"},
		{data: "[{\"A\":\"\xff\"},{\"B\":2}]", want: "B=2", bad: 1},
		{data: "[{\"A\":\"\xc0\x80\"},{\"A\":\"\xed\xa0\x80\"},{\"A\":\"\xf4\x90\x80\x80\"},{\"A\":\"\xe2\x82\"},{\"B\":2}]", want: "B=2", bad: 4},
		{data: "[{\"A\":\"\x00\"},{\"A\":\"\n\"},{\"B\":2}]", want: "B=2", bad: 2},
		{data: `[{"A":"\ud800"},{"A":"\udc00"},{"A":"\ud800\ud800"},{"A":"\udc00\udc00"},{"A":"\x"},{"A":"\u12g4"},{"B":2}]`, want: "B=2", bad: 6},
		{data: `[hello,{'A':1},{A:1},{"A" 1},{"A":1 2},{"B":2}x,{"C":3}]`, want: "C=3", bad: 6},
		{data: `[,]`, bad: 2},
		{data: `[{"A":1},]`, want: "A=1", bad: 1},
		{data: `[{"A":[1,]},{"A":{"x":1,}},{"A":{1:2}},{"B":2}]`, want: "B=2", bad: 3},
		{data: `[{"A":{"x":1,"x":2}}]`, want: `A={"x":1,"x":2}`}, // for the decoder to refuse
		{data: `[` + deep(31) + `,{"B":2}]`, want: "B=2", bad: 1},
		{data: `[{"A":` + deep(30) + `}]`, want: "A=" + deep(30)},
		{data: `[{"A":` + deep(31) + `}]`, err: ErrTooDeep},
		{data: deep(32), bad: 1},
		{data: deep(33), err: ErrTooDeep},
		{data: `[{"A":"` + deep(99) + `"}]`, want: `A="` + deep(99) + `"`},
		{data: ``, err: ErrNotArray},
		{data: `hello`, err: ErrNotArray},
		{data: `{"A":1}`, err: ErrNotArray},
		{data: `null`, err: ErrNotArray},
		{data: `[`, err: ErrNotArray},
		{data: `[{"A":1}`, err: ErrNotArray},
		{data: `[{"A":1},`, err: ErrNotArray},
		{data: `[{"A":"x]`, err: ErrNotArray},
		{data: `[{"A":"x\`, err: ErrNotArray},
		{data: `[{"A":"x\"`, err: ErrNotArray},
		{data: `[{"A":1]}`, err: ErrNotArray},
		{data: `[}]`, err: ErrNotArray},
		{data: `[]]`, err: ErrNotArray},
		{data: `[] x`, err: ErrNotArray},
		{data: "[]\x00", err: ErrNotArray},
		{data: "[]\v", err: ErrNotArray},
		{data: "\uFEFF[]", err: ErrNotArray},
		{data: "[" + strings.Repeat(" ", MaxDatagram-2) + "]"},
		{data: "[" + strings.Repeat(" ", MaxDatagram-1) + "]", err: ErrTooLarge},
		{data: "[0" + strings.Repeat(",0", 62) + `,{"A":1},{"B":2},"]",{"C":[,]}]`, want: "A=1", bad: 63 + 3},
	} {
		es, bad, err := Split(nil, []byte(c.data))
		var got []string
		for _, e := range es {
			got = append(got, e.Name+"="+string(e.Payload))
		}
		if strings.Join(got, " ") != c.want || bad != c.bad || err != c.err {
			t.Errorf("%.100q: got %q, %d bad, %v; want %q, %d bad, %v", c.data, got, bad, err, c.want, c.bad, c.err)
		}
	}
}

func TestSplitAppends(t *testing.T) {
	first := Element{Name: "first"}
	es, _, err := Split([]Element{first}, []byte(` [ {"A": 1 } ]`))
	if err != nil || len(es) != 2 || es[0].Name != "first" || string(es[1].Raw) != `{"A": 1 }` {
		t.Errorf("%q, %v", es, err)
	}
	if es, _, err := Split([]Element{first}, []byte(`[{"A":1}`)); err == nil || len(es) != 1 {
		t.Errorf("%q, %v: want what was passed", es, err)
	}
}

// A Payload must not let an append run into what follows it in the datagram.
func TestSplitCapsSlices(t *testing.T) {
	data := []byte(`[{"A":1},{"B":2}]`)
	es, _, _ := Split(nil, data)
	_ = append(es[0].Payload, "xxxx"...)
	_ = append(es[0].Raw, "xxxx"...)
	if string(data) != `[{"A":1},{"B":2}]` {
		t.Errorf("overwritten: %s", data)
	}
}

func TestSplitRecorded(t *testing.T) {
	sent, requests := recorded(t)
	for _, d := range sent {
		es, bad, err := Split(nil, []byte(d))
		if err != nil || bad > 0 {
			t.Errorf("%s: %d bad, %v", d, bad, err)
		}
		var want []map[string]json.RawMessage
		if err := json.Unmarshal([]byte(d), &want); err != nil {
			t.Fatal(err)
		}
		if len(es) != len(want) {
			t.Fatalf("%s: %d elements, want %d", d, len(es), len(want))
		}
		for i, e := range es {
			if v, ok := want[i][e.Name]; !ok || !bytes.Equal(v, e.Payload) {
				t.Errorf("%s: element %d is %s %s", d, i, e.Name, e.Payload)
			}
		}
		for n := range len(d) {
			if _, _, err := Split(nil, []byte(d[:n])); err == nil {
				t.Errorf("a prefix is not refused: %s", d[:n])
			}
		}
	}
	refused, bad := 0, 0
	for _, r := range requests {
		_, n, err := Split(nil, []byte(r))
		if bad += n; err != nil {
			refused++
		}
	}
	if refused != 2 || bad != 2 { // "hello" and a bare object; two keys in one element and a number
		t.Errorf("of the requests %d were refused and %d elements were bad", refused, bad)
	}
}

func TestSplitAllocs(t *testing.T) {
	sent, _ := recorded(t)
	es := make([]Element, 0, MaxElements)
	for _, d := range sent {
		data := []byte(d)
		if n := testing.AllocsPerRun(10, func() { es, _, _ = Split(es[:0], data) }); n > 0 {
			t.Errorf("%.0f allocations for %s", n, d)
		}
	}
}

func FuzzSplit(f *testing.F) {
	sent, requests := recorded(f)
	for _, d := range slices.Concat(sent, requests) {
		f.Add([]byte(d))
	}
	for _, b := range bombs {
		if len(b.data) < 1000 {
			f.Add([]byte(b.data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		es, bad, err := Split(nil, data)
		if !bytes.Equal(before, data) {
			t.Fatal("the datagram was changed")
		}
		if err != nil && (len(es) > 0 || bad > 0) || len(es) > MaxElements {
			t.Fatalf("%d elements, %d bad, %v", len(es), bad, err)
		}
		again := []byte{'['}
		for i, e := range es {
			if !wellFormed(e.Raw) || !wellFormed(e.Payload) {
				t.Fatalf("not JSON: %q", e.Raw)
			}
			if i > 0 {
				again = append(again, ',')
			}
			again = append(again, e.Raw...)
		}
		again = append(again, ']')
		if err != nil {
			return
		}
		es2, bad2, err := Split(nil, again)
		if err != nil || bad2 > 0 || len(es2) != len(es) {
			t.Fatalf("%q: %d elements, %d bad, %v", again, len(es2), bad2, err)
		}
		for i, e := range es2 {
			if e.Name != es[i].Name || !bytes.Equal(e.Payload, es[i].Payload) {
				t.Fatalf("%v became %v", es[i], e)
			}
		}
		// What the reference takes for an array of objects of one key each, we do.
		if wellFormed(data) && len(es)+bad <= MaxElements {
			var want []map[string]json.RawMessage
			if json.Unmarshal(data, &want) == nil && bad > 0 {
				for _, m := range want {
					if len(m) != 1 {
						return
					}
				}
				// encoding/json lets duplicates in an element pass.
				if jsontext.Value(data).IsValid() {
					t.Fatalf("%d of %q were bad", bad, data)
				}
			}
		}
	})
}

// wellFormed is what jsontext takes for JSON, duplicate names aside.
func wellFormed(data []byte) bool {
	return jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true))
}

// FuzzJSON holds our grammar against that of jsontext.
func FuzzJSON(f *testing.F) {
	sent, requests := recorded(f)
	for _, d := range slices.Concat(sent, requests) {
		f.Add([]byte(d))
	}
	for _, s := range []string{`"\ud83d\ude00"`, `-0.5e+10`, `{"a":[true,false,null,{}]}`, `"é€😀"`, `"\u00e9\"\\"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := wholeValue("test", data)
		if err == nil && !wellFormed(data) {
			t.Fatalf("%q is no JSON", data)
		}
		if err != nil && wellFormed(data) && depthOf(data) <= MaxDepth-payloadDepth {
			t.Fatalf("%q is JSON", data)
		}
		if err != nil && !errors.Is(err, ErrPayload) {
			t.Fatal(err)
		}
	})
}

// depthOf returns the nesting of valid JSON.
func depthOf(data []byte) int {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true))
	deepest := 0
	for {
		if _, err := d.ReadToken(); err != nil {
			return deepest
		}
		deepest = max(deepest, d.StackDepth())
	}
}
