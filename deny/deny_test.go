package deny

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
)

var hexA, hexB = strings.Repeat("ab", 32), strings.Repeat("0c", 32)

func id(kind chunk.Kind, hex string) chunk.ID {
	h, err := chunk.ParseHash(hex)
	if err != nil {
		panic(err)
	}
	return chunk.ID{Kind: kind, Hash: h}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Book {
	t.Helper()
	b, errs := Open(dir, filepath.Join(dir, "audit.log"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return b
}

func TestParse(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "   # only words": "",
		"blake3/" + hexA: "blake3/" + hexA, " b3/" + strings.ToUpper(hexA) + " ": "blake3/" + hexA, "sha256/" + hexA: "sha256/" + hexA,
		"folder/" + hexA + " # reason=x": "folder/" + hexA, "//" + hexA: "//" + hexA, "key/0x" + hexA: "key/" + hexA,
		"peer/10.0.0.0/8": "peer/10.0.0.0/8", "peer/10.1.2.3/8": "peer/10.0.0.0/8", "peer/::1": "peer/::1/128", "peer/::ffff:1.2.3.4": "peer/1.2.3.4/32",
	} {
		e, ok, err := Parse(line)
		if err != nil || ok != (want != "") || ok && e.String() != want {
			t.Errorf("%q is %q, %v, %v", line, e, ok, err)
		}
	}
	for _, line := range []string{"x", hexA, "blake3/12", "blake3/" + hexA + "/..", "/" + hexA, "peer/x", "peer/fe80::1%eth0", "key/" + hexA[:62], "../" + hexA} {
		if e, ok, err := Parse(line); ok || err == nil {
			t.Errorf("%q is taken for %v", line, e)
		}
	}
	e, _, _ := Parse("blake3/" + hexA + " # by hand reason=two words ref=case-17 legal=DE 12")
	if e.Reason != "two words" || e.Ref != "case-17" || e.Legal != "DE 12" {
		t.Errorf("%+v", e)
	}
	if back, _, err := Parse(e.Line()); err != nil || back != e {
		t.Errorf("%q becomes %+v", e.Line(), back)
	}
}

// TestDenied: each kind of entry, by each id that it should hold for.
func TestDenied(t *testing.T) {
	b3, sha := id(chunk.BLAKE3, hexA), id(chunk.SHA256, hexA)
	double := func(line string) string { h := DoubleOf(line); return "//" + chunk.Hash(h).String() }
	cases := []struct {
		line string
		id   chunk.ID
		want bool
	}{
		{"blake3/" + hexA, b3, true}, {"blake3/" + hexA, id(chunk.BLAKE3Tree, hexA), true}, {"blake3/" + hexA, sha, false}, {"blake3/" + hexA, id(chunk.BLAKE3, hexB), false},
		{"sha256/" + hexA, sha, true}, {"sha256/" + hexA, b3, false},
		{"folder/" + hexA, b3, true}, {"folder/" + hexA, sha, false},
		{double("blake3/" + hexA), b3, true}, {double("sha256/" + hexA), sha, true}, {double("folder/" + hexA), b3, true}, {double("blake3/" + hexB), b3, false},
	}
	for _, c := range cases {
		dir := t.TempDir()
		write(t, dir, "a.list", c.line+" # reason=r legal=l\n")
		b := open(t, dir)
		e, got := b.Content(id(chunk.SHA256, hexB), c.id)
		if got != c.want || got && (e.Reason != "r" || e.Legal != "l" || e.List != "a.list") {
			t.Errorf("%s denies %v: %v (%+v)", c.line, c.id, got, e)
		}
		if n := b.Hits()["a.list"]; (n == 1) != c.want {
			t.Errorf("%s counts %d", c.line, n)
		}
	}
	dir := t.TempDir()
	write(t, dir, "a.list", "key/"+hexA+"\npeer/192.0.2.0/24\n"+double("key/"+hexB)+"\n")
	b := open(t, dir)
	if _, got := b.Key(id(chunk.SHA256, hexA).Hash); !got {
		t.Error("the key is not denied")
	}
	if _, got := b.Key(id(chunk.SHA256, hexB).Hash); !got {
		t.Error("the key is not denied by its hash")
	}
	if _, got := b.Peer(netip.MustParseAddr("::ffff:192.0.2.7")); !got {
		t.Error("the peer is not denied")
	}
	if _, got := b.Peer(netip.MustParseAddr("192.0.3.7")); got {
		t.Error("another peer is denied")
	}
}

// TestReload: added and removed lines and lists hold at once, and what cannot be read stays.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	b := open(t, filepath.Join(dir, "deny.d"))
	dir = filepath.Join(dir, "deny.d")
	denied := func(want bool) {
		t.Helper()
		if _, got := b.Content(id(chunk.BLAKE3, hexA)); got != want {
			t.Errorf("denied: %v, want %v", got, want)
		}
	}
	denied(false)
	e, _, _ := Parse("blake3/" + hexA + "# reason=r")
	b.audit = filepath.Join(dir, "no folder", "audit.log")
	if err := b.Add(e, time.Unix(0, 0)); err == nil {
		t.Error("the log of changes lies where there is no folder, and nobody says so")
	}
	b.audit = filepath.Join(dir, "audit.log")
	if err := b.Add(e, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	denied(true)
	if there, err := b.Remove(e, time.Unix(60, 0)); !there || err != nil {
		t.Error(there, err)
	}
	denied(false)
	if there, err := b.Remove(e, time.Unix(60, 0)); there || err != nil {
		t.Error("removed twice", err)
	}
	if log, err := os.ReadFile(b.audit); err != nil || !strings.Contains(string(log), "1970-01-01T00:00:00Z add blake3/"+hexA+"  # reason=r\n1970-01-01T00:01:00Z remove ") {
		t.Errorf("%q %v", log, err)
	}
	write(t, dir, "z.list", "nonsense\nblake3/"+hexA+"\n")
	changed, errs := b.Reload()
	if !changed || len(errs) != 1 || errs[0].Error() != "z.list, line 1: "+errBadEntry.Error() {
		t.Errorf("%v %v", changed, errs)
	}
	denied(true)
	if changed, errs := b.Reload(); changed || len(errs) > 0 {
		t.Errorf("nothing happened, and: %v %v", changed, errs)
	}
	if err := os.Rename(filepath.Join(dir, "z.list"), filepath.Join(dir, "z")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "z.list"), 0o700); err != nil {
		t.Fatal(err)
	}
	if changed, errs := b.Reload(); changed || len(errs) != 1 {
		t.Errorf("a list that cannot be read: %v %v", changed, errs)
	}
	denied(true)
	if changed, errs := b.Reload(); changed || len(errs) > 0 {
		t.Errorf("a list that cannot be read, looked at again: %v %v", changed, errs)
	}
	if err := os.Remove(filepath.Join(dir, "z.list")); err != nil {
		t.Fatal(err)
	}
	b.Reload()
	denied(false)
}

// TestLongLine: a line that is too long denies nothing, and its neighbours hold; none is written.
func TestLongLine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, Own, "blake3/"+hexA+"\r\n# "+strings.Repeat("x", 3*maxLine)+"\nblake3/"+hexB+"#"+strings.Repeat("y", maxLine))
	b, errs := Open(dir, filepath.Join(dir, "audit.log"))
	if len(errs) != 2 || !strings.HasPrefix(errs[0].Error(), "own.list, line 2: has more than") {
		t.Errorf("told: %v", errs)
	}
	_, first := b.Content(id(chunk.BLAKE3, hexA))
	_, long := b.Content(id(chunk.BLAKE3, hexB))
	if !first || long {
		t.Errorf("denied: %v, and in the long line %v", first, long)
	}
	e, _, _ := Parse("sha256/" + hexB)
	e.Reason = strings.Repeat("z", maxLine)
	if err := b.Add(e, time.Unix(0, 0)); err == nil {
		t.Error("a line that is too long to be read was written")
	}
}

// TestRoomForOwn: lists of others that are full keep nothing of the own list out, nor peers without number the contents.
func TestRoomForOwn(t *testing.T) {
	dir := t.TempDir()
	var peers strings.Builder
	for i := range maxPeers + 5 {
		fmt.Fprintf(&peers, "peer/10.0.%d.%d\n", i/250, i%250)
	}
	write(t, dir, "a.list", peers.String()+"blake3/"+hexA+"\n")
	write(t, dir, Own, "peer/192.0.2.1\n")
	b, errs := Open(dir, filepath.Join(dir, "audit.log"))
	if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "a.list: more than") {
		t.Errorf("told: %v", errs)
	}
	if _, own := b.Peer(netip.MustParseAddr("192.0.2.1")); !own {
		t.Error("a list that is full keeps an own entry out")
	}
	if _, ok := b.Content(id(chunk.BLAKE3, hexA)); !ok {
		t.Error("a list with too many peers denies no content")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("blake3/" + hexA + " # reason=a ref=b legal=c")
	f.Add("peer/10.0.0.0/8")
	f.Add("//" + hexA)
	f.Fuzz(func(t *testing.T, line string) {
		e, ok, err := Parse(line)
		if ok && err != nil {
			t.Fatal("both an entry and an error")
		}
		if !ok {
			return
		}
		back, ok, err := Parse(e.Line())
		if !ok || err != nil || back.String() != e.String() {
			t.Fatalf("%q is %q, which is %q", line, e.Line(), back)
		}
	})
}
