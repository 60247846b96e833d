package swarm

import (
	"net/netip"
	"testing"
	"time"
)

func TestClassOf(t *testing.T) {
	for a, want := range map[string]Class{
		"148.71.89.128:24254": Public, "[2001:db8::1]:1": Public, "100.63.255.255:1": Public, "100.128.0.0:1": Public, "[64:ff9b::1]:1": Public,
		"10.0.0.1:1": Private, "172.16.0.1:1": Private, "172.31.255.255:1": Private, "172.32.0.0:1": Public, "192.168.0.1:1": Private,
		"100.64.0.1:1": Private, "[fd00::1]:1": Private, "[::ffff:10.0.0.1]:1": Private,
		"169.254.0.1:1": LinkLocal, "[fe80::1]:1": LinkLocal, "[fe80::1%eth0]:1": LinkLocal,
		"127.0.0.1:1": Loopback, "127.255.0.1:1": Loopback, "[::1]:1": Loopback, "[::ffff:127.0.0.1]:1": Loopback,
		"224.0.0.1:1": Multicast, "239.1.1.1:1": Multicast, "[ff02::1%7]:1": Multicast, "[::ffff:224.0.0.1]:1": Multicast,
		"255.255.255.255:1": Broadcast, "0.0.0.0:1": Unspecified, "0.1.2.3:1": Unspecified, "[::]:1": Unspecified,
		"240.0.0.1:1": Reserved, "[::1.2.3.4]:1": Reserved, "1.2.3.4:0": NoPort, "224.0.0.1:0": NoPort,
	} {
		if got := ClassOf(ap(a)); got != want {
			t.Errorf("%s is %v, want %v", a, got, want)
		}
	}
	if got := ClassOf(netip.AddrPortFrom(netip.Addr{}, 1)); got != Reserved {
		t.Errorf("no address is %v", got)
	}
}

// TestMayPass: who could reach what.
func TestMayPass(t *testing.T) {
	what := []string{"8.8.8.8:1", "10.0.0.1:1", "[fe80::1%7]:1", "127.0.0.1:1", "224.0.0.1:1", "8.8.8.8:0", "0.0.0.0:1"}
	for with, want := range map[Class][7]bool{
		Public: {true}, Private: {true, true}, LinkLocal: {true, true}, Loopback: {true, true, false, true},
		Multicast: {}, Reserved: {},
	} {
		for i, a := range what {
			if got := MayPass(ap(a), with); got != want[i] {
				t.Errorf("%s with a %v peer: %v", a, with, got)
			}
		}
	}
}

func TestBroadcastOf(t *testing.T) {
	for p, want := range map[string]string{"10.77.0.5/24": "10.77.0.255", "10.0.0.0/8": "10.255.255.255", "192.168.1.128/25": "192.168.1.255", "10.0.0.0/30": "10.0.0.3"} {
		if got, ok := broadcastOf(netip.MustParsePrefix(p)); !ok || got.String() != want {
			t.Errorf("%s: %v", p, got)
		}
	}
	for _, p := range []string{"10.0.0.0/31", "10.0.0.1/32", "fd00::/64"} {
		if got, ok := broadcastOf(netip.MustParsePrefix(p)); ok {
			t.Errorf("%s: %v", p, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	now := time.Now()
	var b Backoff
	if !b.Ready(now) {
		t.Fatal("not ready at first")
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		b.Sent(now, time.Second, time.Minute)
		if b.Next() != now.Add(want*time.Second) || b.Ready(b.Next().Add(-1)) || !b.Ready(b.Next()) {
			t.Fatalf("next after %v, want %d s", b.Next().Sub(now), want)
		}
		now = b.Next()
	}
	b.Answered()
	b.Sent(now, time.Second, time.Minute)
	if b.Next() != now.Add(time.Second) {
		t.Error("an answer did not start over")
	}
}

// TestRTT follows the example values of RFC 6298 section 2.
func TestRTT(t *testing.T) {
	var r RTT
	if r.RTO() != 3*time.Second || r.Smoothed() != 0 {
		t.Errorf("unknown: %v", r.RTO())
	}
	r.Sample(400 * time.Millisecond)
	if r.Smoothed() != 400*time.Millisecond || r.Var() != 200*time.Millisecond || r.RTO() != 1200*time.Millisecond {
		t.Errorf("first: %v %v %v", r.Smoothed(), r.Var(), r.RTO())
	}
	r.Sample(800 * time.Millisecond) // rttvar = 3/4·200+1/4·400, srtt = 7/8·400+1/8·800
	if r.Smoothed() != 450*time.Millisecond || r.Var() != 250*time.Millisecond || r.RTO() != 1450*time.Millisecond {
		t.Errorf("second: %v %v %v", r.Smoothed(), r.Var(), r.RTO())
	}
	r.TimedOut()
	if r.RTO() != 2900*time.Millisecond {
		t.Errorf("doubled: %v", r.RTO())
	}
	for range 100 {
		r.TimedOut()
	}
	if r.RTO() != RTOCeiling {
		t.Errorf("ceiling: %v", r.RTO())
	}
	for range 200 {
		r.Sample(time.Millisecond)
	}
	if r.RTO() != RTOFloor {
		t.Errorf("floor: %v", r.RTO())
	}
	r.Sample(-5)
	r.Sample(1 << 62)
	if r.RTO() <= 0 || r.RTO() > RTOCeiling {
		t.Errorf("nonsense: %v", r.RTO())
	}
}
