package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharer/internal/atomicfile"
)

// TestPeersFile: who was met today is tried first tomorrow, the longest-lived before all others,
// and counts as proven only when it proved itself again.
func TestPeersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i), 1, 1, 1}), 24254)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, &fakeConn{}, Config{PeersFile: path})
		if n, err := p.Loaded(); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		for i := range 30 {
			p.prove(t, at(29-i)) // the highest number is the oldest
			time.Sleep(time.Second)
		}
		p.prove(t, ap("127.0.0.1:4000"))
		synctest.Wait()
		if _, err := os.Stat(path); err == nil {
			t.Error("written before its minute")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := os.Stat(path); err != nil {
			t.Error("not written after a minute")
		}
		p.prove(t, at(40))
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		conn := &fakeConn{}
		p := newPeer(t, conn, Config{PeersFile: path})
		if n, err := p.Loaded(); n != 31 || err != nil {
			t.Fatal(n, err)
		}
		if p.Table.Proven(at(3)) || len(p.Best(10)) != 0 {
			t.Error("a file proves nothing")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(20 * time.Second)
		sent := conn.take()
		time.Sleep(time.Hour) // the silent ones are forgotten meanwhile
		for i := range anchors {
			if sent[i].Addr != at(29-i) {
				t.Errorf("probe %d goes to %s, not to the anchor %s", i, sent[i].Addr, at(29-i))
			}
		}
		if len(sent) < 31 {
			t.Errorf("%d probes", len(sent))
		}
		p.prove(t, at(0))
		cancel()
		<-done
		ks, err := readPeers(path)
		if err != nil || len(ks) != 31 {
			t.Errorf("a day on which only one peer was met leaves %d, %v", len(ks), err)
		}
		if i := slices.IndexFunc(ks, func(k known) bool { return k.addr == at(0) }); i < 0 || !ks[i].last.After(ks[i].first) {
			t.Errorf("at %d: the first meeting was forgotten", i)
		}
	})
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if len(left)+len(hidden) != 1 {
		t.Errorf("left behind: %v %v", left, hidden)
	}
}

func TestPeersFileCorrupt(t *testing.T) {
	dir := t.TempDir()
	good := string(formatPeers([]known{{addr: ap("1.2.3.4:5"), rtt: time.Millisecond}, {addr: ap("[fe80::1%eth0]:5")}}))
	for name, c := range map[string]struct {
		text string
		want int
		bad  bool
	}{
		"good": {good, 2, false}, "empty": {"", 0, true}, "torn": {good[:len(good)-9], 0, true}, "zeroes": {string(make([]byte, 100)), 0, true},
		"later version": {`{"v":2,"peers":[]}`, 0, true}, "too large": {strings.Repeat(" ", storeBytes) + good, 0, true},
		"odd entries": {`{"v":1,"x":1,"peers":[7,null,{"addr":"host:1"},{"addr":"224.0.0.1:1"},{"addr":"1.2.3.4:0"},{"addr":5},{"addr":"1.2.3.4:5"},{"addr":"1.2.3.4:5"},{"addr":"[::ffff:1.2.3.4]:5"},{"addr":"5.5.5.5:5","first":-9e18,"last":9223372036854775807,"rtt_ms":-1}]}`, 1, false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		ks, err := readPeers(path)
		if len(ks) != c.want || (err != nil) != c.bad || c.bad && !errors.Is(err, errPeersFile) {
			t.Errorf("%s: %d peers, %v", name, len(ks), err)
		}
		if s := newTestSwarm(t, &fakeConn{}, Config{PeersFile: path}); c.bad {
			if _, err := s.Loaded(); err == nil {
				t.Errorf("%s: not told", name)
			}
		}
	}
	if _, err := readPeers(dir); !errors.Is(err, errPeersFile) {
		t.Errorf("a folder: %v", err)
	}
	ro := filepath.Join(dir, "ro")
	p := newPeer(t, &fakeConn{}, Config{PeersFile: ro, ReadOnly: true})
	p.prove(t, ap("1.2.3.4:5"))
	if err := p.save(time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(ro); err == nil {
		t.Error("a read-only swarm wrote")
	}
	p = newPeer(t, &fakeConn{}, Config{PeersFile: filepath.Join(dir, "none", "peers.json")})
	p.prove(t, ap("1.2.3.4:5"))
	if err := p.save(time.Now()); err == nil {
		t.Error("a write that fails is not told")
	}
}

func FuzzPeersFile(f *testing.F) {
	f.Add(formatPeers([]known{{addr: ap("1.2.3.4:5"), first: time.Unix(1, 0), last: time.Unix(2, 0), rtt: time.Millisecond}}))
	f.Add([]byte(`{"v":1,"peers":[{"addr":"1.2.3.4:5","first":1e3,"last":-1,"rtt_ms":1e308},7]}`))
	f.Add([]byte(`{"v":1,"peers":[{"addr":"[fe80::1%a\u0000b]:5"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ks, err := parsePeers(b)
		if err != nil && len(ks) > 0 || len(ks) > storeMost {
			t.Fatalf("%d peers, %v", len(ks), err)
		}
		for _, k := range ks {
			if !ClassOf(k.addr).Unicast() || k.addr != Clean(k.addr) || k.rtt < 0 || k.rtt > RTOCeiling {
				t.Fatalf("%+v", k)
			}
		}
		first := formatPeers(ks)
		again, err := parsePeers(first)
		if err != nil || len(again) != len(ks) || !bytes.Equal(formatPeers(again), first) {
			t.Fatalf("not stable: %v\n%s\n%s", err, first, formatPeers(again))
		}
	})
}

// TestPeersFileLarge: a file with more peers than one source may have unproven: all are taken.
func TestPeersFileLarge(t *testing.T) {
	var ks []known
	for i := range storeMost {
		ks = append(ks, known{addr: ap(fmt.Sprintf("%d.%d.1.1:24254", 20+i/256, i%256)), first: time.Unix(int64(1e9-i), 0), last: time.Unix(1e9, 0)})
	}
	path := filepath.Join(t.TempDir(), "peers.json")
	if err := atomicfile.Write(path, formatPeers(ks), atomicfile.How{}); err != nil {
		t.Fatal(err)
	}
	s := newTestSwarm(t, &fakeConn{}, Config{PeersFile: path})
	if all, _ := s.Table.Len(); all != storeMost {
		t.Errorf("%d of %d", all, storeMost)
	}
	iso := newTestSwarm(t, &fakeConn{}, Config{PeersFile: path, Isolated: true})
	if all, _ := iso.Table.Len(); all != 0 {
		t.Errorf("isolated: %d far peers restored", all)
	}
}
