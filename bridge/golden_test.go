package bridge

import (
	"bufio"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"sharer/identity"
	"sharer/wire"
)

// line is one line of bridge.jsonl.
type line struct {
	Page string `json:"page_of"`
	Dir  string `json:"dir"`
	Text string `json:"text"`
}

func recorded(t testing.TB) (lines []line) {
	t.Helper()
	f, err := os.Open("../testdata/vectors/bridge.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) < 20 {
		t.Fatalf("%d lines are recorded", len(lines))
	}
	return lines
}

// TestRecorded plays what pages said to nodes and heard from them: ours says the same to a page, and does what it is
// told to. The one difference is the name of the greeting, see wire.md section 10.
func TestRecorded(t *testing.T) {
	lines := recorded(t)
	for _, page := range []string{"a", "b"} {
		t.Run(page, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, lines, page) })
		})
	}
}

func play(t *testing.T, lines []line, page string) {
	s := newSite(t)
	defer s.close()
	var answer string
	s.node.local = func(netip.AddrPort, []byte) []byte {
		if answer == "" {
			return nil
		}
		return []byte(answer)
	}
	var tab *tab
	seen := map[string]int{}
	for i, l := range lines {
		if l.Page != page {
			continue
		}
		switch name, payload := first(t, l.Text); {
		case name == "PleaseSignYourPub":
			k, err := wire.ParseYourEd25519(payload)
			if err != nil {
				t.Fatal(err)
			}
			s.node.key, s.bridge.c.Key = k.Ed25519, k.Ed25519
			tab = s.open("http://localhost:24255")
		case name == "Forwarded":
			m, err := wire.ParseForwarded(payload)
			if err != nil {
				t.Fatal(err)
			}
			a := Arrival{From: m.Src, Messages: m.Messages, Spoofable: m.Spoofed}
			if m.From != nil {
				a.Key = *m.From
			}
			if m.Maybe != nil {
				a.Maybe = *m.Maybe
			}
			s.node.seen.tell(a)
			if got := tab.read(); !equalJSON(t, got, l.Text) {
				t.Errorf("a page is told\n%s, and was recorded\n%s", got, l.Text)
			}
			seen["told"]++
		case name == "Forward":
			m, err := wire.ParseForward(payload)
			if err != nil {
				t.Fatal(err)
			}
			s.node.proven[m.Src] = true
			tab.say(l.Text)
			synctest.Wait()
			want := sent{Recipient{Addr: m.Src}, string(m.Messages), m.Sign}
			if m.To != nil {
				want.to.Key = *m.To
			}
			if got := s.node.took(); len(got) != 1 || got[0] != want {
				t.Errorf("%s: sent %v, want %v", l.Text, got, want)
			}
			seen["forwarded"]++
		case l.Dir == "page to node":
			if answer = ""; i+1 < len(lines) && lines[i+1].Dir == "node to page" && !strings.Contains(lines[i+1].Text, "SignYourPub") {
				answer = lines[i+1].Text
			}
			tab.say(l.Text)
			synctest.Wait()
		case l.Text != answer:
			t.Errorf("%s answers nothing", l.Text)
		default:
			if got := tab.read(); got != l.Text {
				t.Errorf("a page is answered %s, want %s", got, l.Text)
			}
			seen["answered"]++
		}
	}
	want := map[string]int{"a": 5, "b": 2}[page]
	if seen["told"] != want || page == "b" && (seen["forwarded"] != 4 || seen["answered"] != 2) {
		t.Errorf("%v", seen)
	}
	if err := tab.CloseNow(); err != nil {
		t.Error(err)
	}
}

func first(t *testing.T, text string) (name string, payload []byte) {
	t.Helper()
	es, _, err := wire.Split(nil, []byte(text))
	if err != nil || len(es) == 0 {
		t.Fatalf("%s: %v", text, err)
	}
	return es[0].Name, es[0].Payload
}

func FuzzHear(f *testing.F) {
	for _, l := range recorded(f) {
		f.Add([]byte(l.Text))
	}
	f.Add([]byte(`[{"Forward":{"src":"1.2.3.4:5","messages":[{"Forward":{}}]}},{"Peers":{}},{"PleaseX":1},7]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := hear(text)
		if err != nil {
			return
		}
		for _, l := range s.letters {
			if ok, empty := sendable(l.Messages); ok && !empty && (says(l.Messages, "Forward") || !json.Valid(l.Messages)) {
				t.Errorf("%q is sent", l.Messages)
			}
		}
		if s.local == nil {
			return
		}
		es, bad, err := wire.Split(nil, s.local)
		if err != nil || bad > 0 || len(es) == 0 {
			t.Fatalf("%q became %q", text, s.local)
		}
		for _, e := range es {
			if !mayAsk(e.Name) {
				t.Errorf("%q is said to the node", e.Raw)
			}
		}
		_ = forwarded(&Arrival{From: netip.MustParseAddrPort("1.2.3.4:5"), Key: identity.PublicKey{1}, Messages: s.local}, s.local)
	})
}
