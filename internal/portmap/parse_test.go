package portmap

import (
	"bytes"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// recorded is an answer of miniupnpd 2.3.1. Its addresses: 192.168.77.1 inside, 11.77.0.1 outside.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "miniupnpd", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	inside  = netip.MustParseAddr("192.168.77.1")
	outside = netip.MustParseAddr("11.77.0.1")
	itsOwn  = nonce{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
)

func TestRecordedPCP(t *testing.T) {
	ours := pcpMap{nonce: itsOwn, internal: 0x5ebe}
	for _, x := range []struct {
		file     string
		op       byte
		answers  bool
		failed   bool
		lifetime time.Duration
		external netip.AddrPort
	}{
		{"pcp-map.bin", opMap, true, false, time.Hour, netip.AddrPortFrom(outside, 0x5ebe)},
		{"pcp-other-nonce.bin", opMap, false, false, time.Hour, netip.AddrPortFrom(outside, 0x5ebe)},
		{"pcp-unmap.bin", opMap, true, true, 0, netip.AddrPortFrom(outside, 0x5ebe)}, // it says "not authorized" to who removes what is not there
		{"pcp-announce.bin", opAnnounce, false, false, 0, netip.AddrPort{}},
	} {
		r, err := parsePCP(recorded(t, x.file))
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		if r.op != x.op || r.answers(ours) != x.answers || (r.err() != nil) != x.failed || r.epoch != 0xd6b7 {
			t.Errorf("%s: %+v, err %v", x.file, r, r.err())
		}
		if x.op == opMap && !x.failed && (r.lifetime != x.lifetime || r.external != x.external) {
			t.Errorf("%s: %v for %v, want %v for %v", x.file, r.external, r.lifetime, x.external, x.lifetime)
		}
	}
	r, err := parsePCP(recorded(t, "pcp-version.bin"))
	if err != nil || r.result != pcpUnsuppVers || r.err() == nil {
		t.Errorf("pcp-version.bin: %+v, %v", r, err)
	}
	if _, err := parsePCP(recorded(t, "natpmp-map.bin")); !errors.Is(err, errOldVersion) {
		t.Errorf("an answer of NAT-PMP: %v, want %v", err, errOldVersion)
	}
	for _, name := range []string{"pcp-map.bin", "pcp-announce.bin"} {
		whole := recorded(t, name)
		for n := range whole {
			if _, err := parsePCP(whole[:n]); err == nil {
				t.Errorf("%s cut to %d bytes is taken", name, n)
			}
		}
	}
}

func TestRecordedNATPMP(t *testing.T) {
	r, err := parseNATPMP(recorded(t, "natpmp-map.bin"))
	if err != nil || r.err() != nil || r.internal != 0x5eec || r.external != 0x5eec || r.lifetime != time.Hour || r.epoch != 0xd6b7 {
		t.Errorf("map: %+v, %v", r, err)
	}
	if r, err = parseNATPMP(recorded(t, "natpmp-address.bin")); err != nil || r.address != outside {
		t.Errorf("address: %+v, %v", r, err)
	}
	if r, err = parseNATPMP(recorded(t, "natpmp-unmap.bin")); err != nil || r.lifetime != 0 || r.external != 0 {
		t.Errorf("unmap: %+v, %v", r, err)
	}
	whole := recorded(t, "natpmp-map.bin")
	for n := range whole {
		if _, err := parseNATPMP(whole[:n]); err == nil {
			t.Errorf("cut to %d bytes it is taken", n)
		}
	}
	// RFC 6886 section 3.5: a version that is not known is told with four bytes at least.
	if r, err = parseNATPMP([]byte{0, 0x80 | 9, 0, 5}); err != nil || r.err() == nil {
		t.Errorf("unsupported opcode: %+v, %v", r, err)
	}
}

func TestRequests(t *testing.T) {
	m := pcpMap{client: netip.MustParseAddr("192.168.77.2"), nonce: itsOwn, internal: 24254, lifetime: time.Hour}
	b := m.append(nil)
	if len(b) != pcpMapSize || b[0] != 2 || b[1] != 1 || !bytes.Equal(b[4:8], []byte{0, 0, 14, 16}) || !bytes.Equal(b[18:24], []byte{0xff, 0xff, 192, 168, 77, 2}) || !bytes.Equal(b[24:36], itsOwn[:]) || b[36] != 17 {
		t.Errorf("MAP is % x", b)
	}
	if got := (natpmpMap{internal: 24254, external: 24254, lifetime: time.Hour}).append(nil); !bytes.Equal(got, []byte{0, 1, 0, 0, 0x5e, 0xbe, 0x5e, 0xbe, 0, 0, 14, 16}) {
		t.Errorf("NAT-PMP is % x", got)
	}
	search := string(appendSearch(nil, netip.AddrPortFrom(inside, ssdpPort), searchTargets[0]))
	for _, line := range []string{"M-SEARCH * HTTP/1.1\r\n", "HOST: 192.168.77.1:1900\r\n", "MAN: \"ssdp:discover\"\r\n", "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"} {
		if !strings.Contains(search, line) {
			t.Errorf("%q is not in %q", line, search)
		}
	}
	body := string(appendAction(nil, "k\"<", "Do", []argument{{"A", "1<2"}}))
	if !strings.Contains(body, "<A>1&lt;2</A>") || strings.Contains(body, "k\"<") {
		t.Errorf("not escaped: %s", body)
	}
}

func TestRecordedUPnP(t *testing.T) {
	location, err := parseSearchReply(recorded(t, "search.txt"))
	if err != nil || location != "http://192.168.77.1:5000/rootDesc.xml" {
		t.Fatalf("location %q, %v", location, err)
	}
	at, err := atGateway(nil, location, inside)
	if err != nil {
		t.Fatal(err)
	}
	all, refused, err := parseDescription(recorded(t, "rootDesc.xml"), at, inside)
	if err != nil || refused != 0 || len(all) != 5 {
		t.Fatalf("%d services, %d refused, %v", len(all), refused, err)
	}
	found := map[string]string{}
	for _, s := range all {
		found[s.kind] = s.control.String()
	}
	for kind, path := range map[string]string{mapKinds[0]: "/ctl/IPConn", pinholeKinds[0]: "/ctl/IP6FCtl"} {
		if found[kind] != "http://192.168.77.1:5000"+path {
			t.Errorf("%s is at %q", kind, found[kind])
		}
	}
	for _, x := range []struct {
		file, action, name, value string
		err                       error
	}{
		{"add.xml", "AddPortMapping", "", "", nil},
		{"addany.xml", "AddAnyPortMapping", "NewReservedPort", "24400", nil},
		{"address.xml", "GetExternalIPAddress", "NewExternalIPAddress", "11.77.0.1", nil},
		{"delete.xml", "DeletePortMapping", "", "", nil},
		{"add-denied.xml", "AddPortMapping", "", "", igdError(606)},
		{"add-other-client.xml", "AddPortMapping", "", "", igdConflict},
		{"add.xml", "DeletePortMapping", "", "", errMalformed}, // the answer to another question
	} {
		values, err := parseActionReply(recorded(t, x.file), x.action)
		if !errors.Is(err, x.err) || x.name != "" && values[x.name] != x.value {
			t.Errorf("%s as %s: %v, %v", x.file, x.action, values, err)
		}
	}
}

// What a router writes that leads elsewhere, or into a trap.
func TestElsewhere(t *testing.T) {
	base := &url.URL{Scheme: "http", Host: "192.168.77.1:5000", Path: "/rootDesc.xml"}
	for ref, want := range map[string]string{
		"/ctl":                                "http://192.168.77.1:5000/ctl",
		"ctl":                                 "http://192.168.77.1:5000/ctl",
		"http://192.168.77.1/x#y":             "http://192.168.77.1/x",
		"http://192.168.77.1:80/x?y=http://z": "http://192.168.77.1:80/x?y=http://z",
		"http://192.168.77.2:5000/ctl":        "",
		"//8.8.8.8/ctl":                       "",
		"http://router.example/ctl":           "",
		"http://192.168.77.1@8.8.8.8/ctl":     "",
		"http://user@192.168.77.1/ctl":        "",
		"https://192.168.77.1/ctl":            "",
		"file:///etc/passwd":                  "",
		"http:ctl":                            "",
		"http://192.168.77.1:0/":              "",
		"http://192.168.77.1:99999/":          "",
		"http://3232255233/":                  "",
		"http://[::1]/":                       "",
		"\x00":                                "",
	} {
		u, err := atGateway(base, ref, inside)
		if got := ""; err == nil {
			if got = u.String(); got != want {
				t.Errorf("%q leads to %s, want %q", ref, got, want)
			}
		} else if want != "" {
			t.Errorf("%q: %v, want %s", ref, err, want)
		}
	}
	six := netip.MustParseAddr("fe80::1%eth0")
	if _, err := atGateway(nil, "http://[2001:db8::1]:5000/x", six); err != nil {
		t.Errorf("a link-local gateway that names its global address: %v", err)
	}
	if _, err := atGateway(nil, "http://192.168.77.1:5000/x", six); err == nil {
		t.Error("IPv4 for a gateway of IPv6")
	}
	for name, doc := range map[string]string{
		"a document type": `<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><root><service><serviceType>x</serviceType><controlURL>&b;</controlURL></service></root>`,
		"depth":           strings.Repeat("<a>", maxDepth+1),
		"a foreign base":  `<root><URLBase>http://8.8.8.8/</URLBase></root>`,
		"an end alone":    `</root>`,
	} {
		if found, _, err := parseDescription([]byte(doc), base, inside); err == nil {
			t.Errorf("%s: %v", name, found)
		}
	}
	many := "<root>" + strings.Repeat("<service><serviceType>k</serviceType><controlURL>/c</controlURL></service>", 10*maxServices) + "</root>"
	if found, _, err := parseDescription([]byte(many), base, inside); err != nil || len(found) != maxServices {
		t.Errorf("%d services, %v", len(found), err)
	}
	if _, refused, err := parseDescription([]byte(`<root><service><serviceType>k</serviceType><controlURL>http://8.8.8.8/c</controlURL></service></root>`), base, inside); err != nil || refused != 1 {
		t.Errorf("%d refused, %v", refused, err)
	}
}

func TestRoutes(t *testing.T) {
	const head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
	for name, x := range map[string]struct{ text, want string }{
		"none":        {head, "invalid IP"},
		"one":         {head + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n", "192.168.1.1"},
		"best metric": {head + "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\neth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n", "192.168.1.1"},
		"a net":       {head + "eth0\t0001A8C0\t0101A8C0\t0003\t0\t0\t100\t00FFFFFF\t0\t0\t0\n", "invalid IP"},
		"down":        {head + "eth0\t00000000\t0101A8C0\t0002\t0\t0\t100\t00000000\t0\t0\t0\n", "invalid IP"},
		"rejected":    {head + "eth0\t00000000\t0101A8C0\t0203\t0\t0\t100\t00000000\t0\t0\t0\n", "invalid IP"},
		"garbage":     {"eth0\t00000000\tZZ\t0003\t0\t0\t-1\t00000000\n\n\t\t\n", "invalid IP"},
	} {
		if got := parseRoute4(x.text).String(); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	const zero = "00000000000000000000000000000000"
	line := zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
	if got := parseRoute6(line).String(); got != "fe80::1%eth0" {
		t.Errorf("a link-local one: %s", got)
	}
	if got := parseRoute6(strings.Replace(line, "00000003", "00000001", 1)); got.IsValid() {
		t.Errorf("a route without a gateway: %s", got)
	}
	if got := parseRoute6("x y\n" + strings.Replace(line, "fe80", "zz80", 1)); got.IsValid() {
		t.Errorf("garbage: %s", got)
	}
}

func TestTimes(t *testing.T) {
	var waits []time.Duration
	for n := 1; n <= 9; n++ {
		waits = append(waits, backoff(n))
	}
	want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute}
	if !reflect.DeepEqual(waits, want) || backoff(1<<30) != maxBackoff {
		t.Errorf("%v", waits)
	}
	for _, x := range [][3]time.Duration{
		{time.Hour, time.Hour, 30 * time.Minute},
		{0, time.Hour, 30 * time.Minute},                // for ever
		{time.Second, time.Hour, time.Minute},           // a gateway that wants to be asked all the time
		{10_000 * time.Hour, time.Hour, 12 * time.Hour}, // one that grants decades
		{time.Second, 2 * time.Second, 500 * time.Millisecond},
	} {
		if got := renewAfter(x[0], x[1]); got != x[2] {
			t.Errorf("a lifetime of %v, %v asked for: renewed after %v, want %v", x[0], x[1], got, x[2])
		}
	}
	start := time.Now()
	for _, x := range []struct {
		server uint32
		after  time.Duration
		lost   bool
	}{
		{1000, 0, false}, {1060, time.Minute, false}, {1062, time.Minute, false}, {1059, time.Minute, false}, {3, time.Minute, true}, {1000 + 3600, time.Minute, true}, {1001, time.Hour, true}, {1000 + 3500, time.Hour, false},
	} {
		var c epochClock
		c.observe(1000, start)
		if got := c.observe(x.server, start.Add(x.after)); got != x.lost {
			t.Errorf("epoch 1000, then %d after %v: lost %v", x.server, x.after, got)
		}
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "11.77.0.1": true, "10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "100.64.0.1": false, "100.128.0.1": true, "127.0.0.1": false, "169.254.1.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.0.0.8": false, "198.18.0.1": false,
		"2001:4860::1": true, "fe80::1": false, "fd00::1": false, "::1": false, "::": false, "ff02::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// Whatever a gateway or a stranger answers, nothing panics, and what is taken is within the bounds.
func FuzzPCP(f *testing.F) {
	for _, name := range []string{"pcp-map.bin", "pcp-other-nonce.bin", "pcp-unmap.bin", "pcp-announce.bin", "pcp-version.bin", "natpmp-map.bin"} {
		f.Add(recorded(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parsePCP(b)
		if err == nil && (len(b) < pcpHeader || r.op == opMap && !r.external.Addr().IsValid() && r.result == 0) {
			t.Errorf("%+v of %d bytes", r, len(b))
		}
		_ = r.err()
	})
}

func FuzzNATPMP(f *testing.F) {
	for _, name := range []string{"natpmp-map.bin", "natpmp-address.bin", "natpmp-unmap.bin", "pcp-map.bin"} {
		f.Add(recorded(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseNATPMP(b); err == nil && r.result == 0 && (r.op == opMapUDP) != (len(b) >= natpmpMapSize && b[1] == opResponse|opMapUDP) {
			t.Errorf("%+v of % x", r, b)
		}
	})
}

func FuzzSearchReply(f *testing.F) {
	f.Add(recorded(f, "search.txt"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nLOCATION: //8.8.8.8/x\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		location, err := parseSearchReply(b)
		if err != nil {
			return
		}
		if u, err := atGateway(nil, location, inside); err == nil && u.Hostname() != inside.String() {
			t.Errorf("%q leads to %s", location, u)
		}
	})
}

func FuzzXML(f *testing.F) {
	for _, name := range []string{"rootDesc.xml", "add.xml", "addany.xml", "address.xml", "add-denied.xml"} {
		f.Add(recorded(f, name))
	}
	// Text on both sides of elements so deep that the stack is moved between.
	f.Add([]byte("<a>x<b>y<c>z<d>w<e></e>w</d>z</c>y</b>x</a>"))
	base := &url.URL{Scheme: "http", Host: "192.168.77.1:5000", Path: "/rootDesc.xml"}
	f.Fuzz(func(t *testing.T, doc []byte) {
		found, _, err := parseDescription(doc, base, inside)
		if err == nil {
			for _, s := range found {
				if s.control.Hostname() != inside.String() {
					t.Errorf("a service at %s", s.control)
				}
			}
		}
		if values, err := parseActionReply(doc, "AddPortMapping"); err == nil && len(values) > maxServices {
			t.Errorf("%d values", len(values))
		}
	})
}

func FuzzRoutes(f *testing.F) {
	f.Add("eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n")
	f.Add("00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if a := parseRoute4(text); a.IsValid() && !a.Is4() {
			t.Errorf("%s is IPv4's", a)
		}
		if a := parseRoute6(text); a.IsValid() && !a.Is6() {
			t.Errorf("%s is IPv6's", a)
		}
	})
}
