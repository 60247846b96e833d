package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestPeersEntries(t *testing.T) {
	for _, c := range []struct{ entry, want string }{
		{`"148.71.89.128:43344"`, "148.71.89.128:43344"},
		{`"1.2.3.4\u003a5"`, "1.2.3.4:5"},
		{`"[2001:db8::1]:24254"`, "[2001:db8::1]:24254"},
		{`"[fe80::1%7]:24254"`, "[fe80::1%7]:24254"},
		{`"[fe80::1%eth0]:24254"`, "[fe80::1%eth0]:24254"},
		{`"[::ffff:1.2.3.4]:5"`, "1.2.3.4:5"},
		{`"127.0.0.1:65535"`, "127.0.0.1:65535"},
		{`"1.2.3.4:00005"`, "1.2.3.4:5"},
		{`"example.org:24254"`, ""},
		{`"localhost:24254"`, ""},
		{`"1.2.3.4"`, ""},
		{`"1.2.3.4:"`, ""},
		{`"1.2.3.4:0"`, ""},
		{`"1.2.3.4:65536"`, ""},
		{`"1.2.3.4:99999999999999999999999"`, ""},
		{`"1.2.3.4:-5"`, ""},
		{`"1.2.3.4:5 "`, ""},
		{`"1.2.3:5"`, ""},
		{`"1.2.3.4.5:6"`, ""},
		{`"1.2.3.256:5"`, ""},
		{`"1.2.3.1000:5"`, ""},
		{`"1.2.3.04:5"`, ""},
		{`"[1.2.3.4]:5"`, ""},
		{`"2001:db8::1:24254"`, ""},
		{`"[2001:db8::1]"`, ""},
		{`"[::1%]:5"`, ""},
		{`""`, ""},
		{`5`, ""},
		{`null`, ""},
		{`["1.2.3.4:5"]`, ""},
		{`{"ip":"1.2.3.4"}`, ""},
	} {
		m, err := ParsePeers([]byte(`{"peers":[ ` + c.entry + ` , "9.9.9.9:9"]}`))
		var got []string
		for _, p := range m.Peers {
			got = append(got, p.String())
		}
		if want := strings.TrimSpace(c.want + " 9.9.9.9:9"); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", c.entry, got, err, want)
		}
	}
}

func TestPeersBounds(t *testing.T) {
	list := func(n int, entry func(i int) string) string {
		var entries []string
		for i := range n {
			entries = append(entries, entry(i))
		}
		return `{"peers":[` + strings.Join(entries, ",") + `]}`
	}
	for _, c := range []struct {
		what, payload string
		want          int
	}{
		{"many", list(400, func(i int) string { return fmt.Sprintf(`"10.0.%d.%d:1"`, i/256, i%256) }), maxPeers},
		{"rubbish first", list(maxPeersSeen+1, func(i int) string { return []string{`"1.2.3.4:5"`, `"x"`}[min(1, maxPeersSeen-i)] }), 0},
		{"rubbish, then one", list(maxPeersSeen, func(i int) string { return []string{`"1.2.3.4:5"`, `"x"`}[min(1, maxPeersSeen-1-i)] }), 1},
		{"zones", list(40, func(i int) string { return fmt.Sprintf(`"[fe80::1%%%d]:1"`, i) }), maxZones},
		{"none", `{"peers":[]}`, 0},
	} {
		if m, err := ParsePeers([]byte(c.payload)); err != nil || len(m.Peers) != c.want {
			t.Errorf("%s: %d peers, %v; want %d", c.what, len(m.Peers), err, c.want)
		}
	}
}

// A zone is a stranger's text: it must not end the string that it stands in.
func TestPeersZoneIsEscaped(t *testing.T) {
	odd := netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(`a"],"x`), 5)
	payload := Peers{[]netip.AddrPort{odd, {}}}.AppendPayload(nil)
	m, err := ParsePeers(payload)
	if err != nil || len(m.Peers) != 1 || m.Peers[0] != odd {
		t.Errorf("%s: %v, %v", payload, m, err)
	}
}

func TestPeersUnmapsWhatItSends(t *testing.T) {
	got := Peers{[]netip.AddrPort{netip.MustParseAddrPort("[::ffff:1.2.3.4]:5")}}.AppendPayload(nil)
	if string(got) != `{"peers":["1.2.3.4:5"]}` {
		t.Errorf("%s", got)
	}
}

// FuzzAddr holds our reading of addresses against that of netip.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4:5", "[2001:db8::1]:24254", "[fe80::1%7]:1", "[::ffff:1.2.3.4]:5", "01.2.3.4:5", "1.2.3.4:65536"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseAddr([]byte(s))
		want, err := netip.ParseAddrPort(s)
		accept := err == nil && want.Port() != 0 && len(s) <= maxAddrText
		if ok != accept {
			t.Fatalf("%q: %v; the reference: %v, %v", s, got, want, err)
		}
		if ok && got != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	})
}
