package mirror

import (
	"strings"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
)

// TestCopies: what others of a group sign is added up file by file, by the rule that each says it follows; who is silent, or behind, does
// not count.
func TestCopies(t *testing.T) {
	s, dir := newSwarm(t), t.TempDir()
	s.publish(1, texts(100, "one"))
	keys := make([]identity.PublicKey, 8)
	for i := range keys {
		k, err := identity.KeyFromSeed([32]byte{9, byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k.Public()
	}
	set, m := open(t, s, dir, func(spec *Spec) {
		for _, k := range keys {
			spec.Group = append(spec.Group, k.String())
		}
	})
	mustSync(t, m)
	l := m.Look()
	id := "folder/" + l.Current.ID.String()
	say := func(k int, of StatusOf) {
		of.Link = l.Link
		set.Heard(keys[k], time.Now())
		set.Claims(keys[k], Status{V: 1, Mirrors: []StatusOf{{Link: "lcdp://else", ID: "folder/else"}, of}})
	}
	count := func(fewer int) Copies {
		t.Helper()
		c, err := set.Copies(t.Context(), "m", fewer)
		if err != nil || c.Files != 101 || c.Looked != 101 {
			t.Fatalf("%+v %v", c, err)
		}
		return c
	}
	if c := count(0); c.Least != 1 || c.Mean != 1 || c.Silent != 8 || c.Scarce != 101 || len(c.Paths) != maxScarce || c.Fewer != 2 {
		t.Errorf("alone: %+v", c)
	}
	say(0, StatusOf{ID: id, Files: 101})
	say(1, StatusOf{ID: "folder/earlier", Files: 101})
	if c := count(0); c.Least != 2 || c.Mean != 2 || c.Mirrors != 1 || c.Behind != 1 || c.Silent != 6 || c.Scarce != 0 {
		t.Errorf("with one that has all: %+v", c)
	}
	say(2, StatusOf{ID: id, Files: 50, Share: "50%"})
	want, least := 0, 0
	share := NewShared(Rules{Share: Portion{Percent: 50}}, keys[2], nil)
	err := m.pages.files(t.Context(), l.Current)(func(f folder.File) error {
		if want += 2; share.Carries(f.BLAKE3) {
			want++
		} else {
			least++
		}
		return nil
	})
	c := count(3)
	if err != nil || c.Mean != float64(want)/101 || c.Scarce != least || c.ByCopies[2] != least || c.ByCopies[3] != 101-least || c.Paths[0].Copies != 2 {
		t.Errorf("with a share: %+v, want mean %v, %d with two copies; %v", c, float64(want)/101, least, err)
	}
	// Three that carry two of each file together; when one is behind, it takes its part away.
	for k := 3; k < 6; k++ {
		say(k, StatusOf{ID: id, Files: 67, Copies: 2})
	}
	if c := count(5); c.Mean != float64(want)/101+2 || c.Mirrors != 5 {
		t.Errorf("with three for two copies: %+v", c)
	}
	say(5, StatusOf{ID: "folder/earlier", Files: 67, Copies: 2})
	if c := count(5); c.Mean >= float64(want)/101+2 || c.Mean <= float64(want)/101+1 || c.Behind != 2 {
		t.Errorf("with one of three behind: %+v", c)
	}
	set.Heard(keys[0], time.Now().Add(-time.Hour))
	if c := count(5); c.Silent != 3 {
		t.Errorf("with one that is silent: %+v", c)
	}
	set.cfg.Holders = func(chunk.Hash) int { return 40 }
	if c := count(5); c.Least != 41 || c.ByCopies[maxCounted] != 101 || c.Spread() != "32 or more: 101" || !strings.HasPrefix(c.String(), "least 41, mean 41.0") {
		t.Errorf("with forty that told so: %+v, %s, %s", c, c.Spread(), c)
	}
}

func TestParseStatus(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"mirror_status":1,"mirrors":[]}`: true, `{"mirror_status":1,"more":{},"mirrors":[{"link":"x"}]}`: true, `{"mirror_status":2}`: false, `{}`: false, ``: false, `[]`: false,
		`{"mirror_status":1,"name":"` + strings.Repeat("x", folder.MaxPage) + `"}`: false,
	} {
		if _, err := ParseStatus([]byte(text)); (err == nil) != ok {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}
