package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const sample = `# mine
bwlimit = "2M:512K"   # up and down
isolated = true
verbose = 1_0
rate = 1.5
peer = [ # two
  "a.example:1", # first ]
  'b:2',
]

[get]
# slow peers
find-timeout = "5m"
[seed]
exclude = []
`

func TestParse(t *testing.T) {
	f, err := Parse("c.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range f.Settings {
		got = append(got, s.Name()+"="+strings.Join(s.Values, "|"))
	}
	want := []string{"bwlimit=2M:512K", "isolated=true", "verbose=10", "rate=1.5", "peer=a.example:1|b:2", "get.find-timeout=5m", "seed.exclude="}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if s := f.Settings[4]; s.Line != 6 || !s.List {
		t.Errorf("%+v", s)
	}
	if m := f.For("get"); len(m) != 6 || m["find-timeout"].Line != 13 {
		t.Errorf("for get: %v", m)
	}
	if m := f.For("seed"); len(m) != 6 {
		t.Errorf("for seed: %v", m)
	}
	for _, order := range []string{"x = 1\n[get]\nx = 2\n", "x = 1\n[a]\nx = 3\n[get]\nx = 2"} {
		f, err := Parse("c.toml", []byte(order))
		if err != nil {
			t.Fatal(err)
		}
		if f.For("get")["x"].Values[0] != "2" || f.For("seed")["x"].Values[0] != "1" {
			t.Errorf("%q: %v, %v", order, f.For("get"), f.For("seed"))
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"a = ":                       "c.toml, line 1: ",
		"a = 1\nb = \"x":             "c.toml, line 2: ",
		"a = 1\na = 2":               "c.toml, line ",
		"a.b.c = 1":                  `c.toml, line 1: a.b.c is two keys`,
		"[a.b]\nx = 1":               "c.toml, line 1: a table is named for a command",
		"\n[[mirror]]\nx=1":          "c.toml, line 2: arrays of tables mean nothing here",
		"x = {y = 1}":                "c.toml, line 1: the value of x is none",
		"x = [1, [2]]":               "c.toml, line 1: the value of x is none",
		"x = 2024-01-01":             "c.toml, line 1: the value of x is none",
		"\xff = 1":                   "c.toml, line 1: ",
		strings.Repeat("#", 1<<20+1): "c.toml: it has more than 1048576 bytes",
	} {
		_, err := Parse("c.toml", []byte(text))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir, true); err == nil {
		t.Error("a folder is read")
	}
	name := filepath.Join(dir, "c.toml")
	if f, err := Read(name, true); err != nil || len(f.Settings) != 0 {
		t.Error(f, err)
	}
	if _, err := Read(name, false); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(name, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(name, false); err != nil || len(f.Settings) != 7 {
		t.Error(f, err)
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ text, command, key, value, want string }{
		{"", "", "a", "1", "a = 1\n"},
		{"# c", "", "a", "x", "# c\na = \"x\"\n"},
		{sample, "", "bwlimit", "off", strings.Replace(sample, `"2M:512K"`, `"off"`, 1)},
		{sample, "", "isolated", "false", strings.Replace(sample, "true", "false", 1)},
		{sample, "get", "find-timeout", "1s", strings.Replace(sample, `"5m"`, `"1s"`, 1)},
		{sample, "get", "o", "1s", strings.Replace(sample, "find-timeout = \"5m\"\n", "find-timeout = \"5m\"\no = \"1s\"\n", 1)},
		{sample, "", "o", "1s", strings.Replace(sample, "  'b:2',\n]\n", "  'b:2',\n]\no = \"1s\"\n", 1)},
		{sample, "ls", "o", "1s", sample + "\n[ls]\no = \"1s\"\n"},
		{"[a]\nx=1", "", "o", "1", "o = 1\n[a]\nx=1"},
		{"[a]\n[b]\nx=1", "a", "o", "1", "[a]\no = 1\n[b]\nx=1"},
	} {
		f, err := Parse("c", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Set(Setting{Command: c.command, Key: c.key, Values: []string{c.value}})
		if err != nil || string(got) != c.want {
			t.Errorf("%s.%s in %q: %v\n%s\nwant\n%s", c.command, c.key, c.text, err, got, c.want)
		}
	}
	f, err := Parse("c", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Set(Setting{Key: "peer", List: true, Values: []string{"c:3", `d"`}})
	if err != nil || strings.Contains(string(got), "first ]") || !strings.Contains(string(got), `peer = ["c:3", "d\""]`+"\n") {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := f.Set(Setting{Key: "a b"}); err == nil {
		t.Error("a bad key is set")
	}
}

// TestSetModel: whatever is set in whatever order is read again, and nothing else changes.
func TestSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, model := []byte(sample), map[string]string{}
		before, err := Parse("c", text)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range before.Settings {
			model[s.Name()] = strings.Join(s.Values, "|")
		}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			s := Setting{
				Command: rapid.SampledFrom([]string{"", "get", "seed", "ls"}).Draw(t, "command"),
				Key:     rapid.SampledFrom([]string{"bwlimit", "peer", "find-timeout", "new", "other"}).Draw(t, "key"),
				List:    rapid.Bool().Draw(t, "list"),
			}
			s.Values = rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "values")
			if !s.List {
				s.Values = s.Values[:1]
			}
			f, err := Parse("c", text)
			if err != nil {
				t.Fatal(err)
			}
			if text, err = f.Set(s); err != nil {
				t.Fatal(err)
			}
			for i, v := range s.Values {
				s.Values[i] = strings.ToValidUTF8(v, "\uFFFD")
			}
			model[s.Name()] = strings.Join(s.Values, "|")
		}
		f, err := Parse("c", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, s := range f.Settings {
			if model[s.Name()] != strings.Join(s.Values, "|") {
				t.Fatalf("%s is %q, want %q\n%s", s.Name(), s.Values, model[s.Name()], text)
			}
			delete(model, s.Name())
		}
		if len(model) > 0 || !strings.Contains(string(text), "# slow peers") {
			t.Fatalf("left %v\n%s", model, text)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("a = [1, # x\n]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("c", text)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T", err)
		}
		if err == nil {
			file.For("get")
		}
	})
}
