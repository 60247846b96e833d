package chunk

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestIDsInJSON(t *testing.T) {
	type document struct {
		ID   ID
		None ID
		Hash Hash
	}
	in := document{ID: ID{Kind: BLAKE3, Hash: Hash{1, 2}}, Hash: Hash{3}}
	text, err := json.Marshal(in)
	if err != nil || !strings.Contains(string(text), `"ID":"blake3/0102`) || !strings.Contains(string(text), `"None":""`) {
		t.Fatalf("%s, %v", text, err)
	}
	var out document
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("%+v, %v; want %+v", out, err, in)
	}
	for _, bad := range []string{`{"ID":"blake3/12"}`, `{"Hash":""}`, `{"Hash":"zz"}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
