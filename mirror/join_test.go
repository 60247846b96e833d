package mirror

import (
	"strings"
	"testing"
)

func TestParseInvitation(t *testing.T) {
	v, err := ParseInvitation([]byte(`{"mirrors":1,"text":"two\nlines\u001b[2J","carry":[{"name":"isos","size":12,"quota":20,"copies":3}],"more":true}`))
	if err != nil || v.Text != "two lines[2J" || v.Carry[0].Name != "isos" || v.Carry[0].Copies != 3 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, bad := range []string{
		``, `[]`, `{}`, `{"mirrors":2,"carry":[{"name":"a"}]}`, `{"mirrors":1}`, `{"mirrors":1,"carry":[{"name":"../a"}]}`, `{"mirrors":1,"carry":[{"name":"a","size":-1}]}`,
		`{"mirrors":1,"carry":[{"name":"a"}],"group":["x"]}`, `{"mirrors":1,"carry":[` + strings.Repeat(`{"name":"a"},`, maxWishes) + `{"name":"a"}]}`,
	} {
		if v, err := ParseInvitation([]byte(bad)); err == nil {
			t.Errorf("%.60q is taken for %+v", bad, v)
		}
	}
}

func TestNameFor(t *testing.T) {
	for published, want := range map[string]string{"isos": "isos", "a/b c": "a-b-c", "..": "mirror", "ü": "mirror", ".hidden": "hidden", strings.Repeat("x", 100): strings.Repeat("x", MaxName)} {
		got := NameFor(published)
		if got != want || CheckMirrorName(got) != nil {
			t.Errorf("%q becomes %q, want %q", published, got, want)
		}
	}
}

func FuzzParseInvitation(f *testing.F) {
	f.Add([]byte(`{"mirrors":1,"carry":[{"name":"isos","size":12}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseInvitation(data)
		if err == nil && (len(v.Carry) == 0 || CheckMirrorName(NameFor(v.Carry[0].Name)) != nil) {
			t.Fatalf("%q", data)
		}
	})
}
