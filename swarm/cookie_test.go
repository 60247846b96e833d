package swarm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sharer/wire"
)

// TestCookieGuesses is A2: a million guesses, none right.
func TestCookieGuesses(t *testing.T) {
	now := time.Now()
	c, err := NewCookies(seeded(1), now)
	if err != nil {
		t.Fatal(err)
	}
	a := ap("1.2.3.4:5")
	rng := rand.New(rand.NewPCG(1, 2))
	var raw [8]byte
	var text [16]byte
	for range 1_000_000 / raceFactor {
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		hex.Encode(text[:], raw[:])
		if _, ok := c.Check(a, text[:], now); ok {
			t.Fatalf("guessed %s", text[:])
		}
	}
	mine := c.Make(a, now)
	for i := range mine { // near misses, too
		for bit := range 8 {
			bad := mine
			bad[i] ^= 1 << bit
			if _, ok := c.Check(a, bad[:], now); ok {
				t.Fatalf("%s passed for %s", bad[:], mine[:])
			}
		}
	}
	for _, text := range []string{"", string(mine[:15]), string(mine[:]) + "0", strings.ToUpper(string(mine[:])) + " ", strings.Repeat("0", 16)} {
		if _, ok := c.Check(a, []byte(text), now); ok {
			t.Errorf("%q passed", text)
		}
	}
}

// TestCookieBindsAddressAndHour: of another ip, another port, another secret, too old.
func TestCookieBindsAddressAndHour(t *testing.T) {
	start := time.Now()
	c, _ := NewCookies(seeded(1), start)
	other, _ := NewCookies(seeded(2), start)
	a := ap("1.2.3.4:5")
	mine := c.Make(a, start)
	for _, b := range []string{"1.2.3.4:6", "1.2.3.5:5", "[::1.2.3.4]:5", "[2001:db8::1]:5"} {
		if _, ok := c.Check(ap(b), mine[:], start); ok {
			t.Errorf("the cookie of %s passed for %s", a, b)
		}
	}
	if _, ok := c.Check(ap("[::ffff:1.2.3.4]:5"), mine[:], start); !ok {
		t.Error("the mapped form of the same address was refused")
	}
	if _, ok := other.Check(a, mine[:], start); ok {
		t.Error("two nodes share a secret")
	}
	for _, s := range []struct {
		at   time.Duration
		want bool
	}{
		{time.Hour - 1, true}, {time.Hour, true}, {2*time.Hour - 1, true}, {2 * time.Hour, false}, {100 * time.Hour, false},
	} {
		if _, ok := c.Check(a, mine[:], start.Add(s.at)); ok != s.want {
			t.Errorf("after %v: %v", s.at, ok)
		}
	}
	late, _ := NewCookies(seeded(1), start)
	if _, ok := late.Check(a, mine[:], start.Add(50*time.Hour)); ok {
		t.Error("a pause of two days kept a secret")
	}
	// A pause of many hours leaves neither secret, and the hour goes on from there.
	young := c.Make(a, start.Add(200*time.Hour+time.Minute))
	if _, ok := c.Check(a, young[:], start.Add(201*time.Hour+59*time.Minute)); !ok {
		t.Error("a cookie of the last hour was refused")
	}
	if c.Current(start) != c.Current(start.Add(201*time.Hour)) {
		t.Error("a clock that went back rotated")
	}
}

func TestCookieNeedsRandomness(t *testing.T) {
	if _, err := NewCookies(iotest.ErrReader(errTest), time.Now()); !errors.Is(err, errTest) {
		t.Errorf("error %v", err)
	}
	if _, err := New(&fakeConn{}, Config{Rand: bytes.NewReader(make([]byte, 20))}); err == nil {
		t.Error("a swarm without secrets")
	}
	start := time.Now()
	c, err := NewCookies(bytes.NewReader(make([]byte, 96)), start)
	if err != nil {
		t.Fatal(err)
	}
	mine := c.Make(ap("1.2.3.4:5"), start.Add(5*time.Hour))
	if _, ok := c.Check(ap("1.2.3.4:5"), mine[:], start.Add(5*time.Hour)); !ok {
		t.Error("a node whose randomness dried up lost its cookies")
	}
}

// TestConstantTime: cookies and tokens are compared in constant time wherever they are compared.
func TestConstantTime(t *testing.T) {
	secret := regexp.MustCompile(`(?m)^.*(want|e\.cookie|mac)\[.*(==|bytes\.Equal|slices\.Equal).*$`)
	n := 0
	for _, f := range []string{"cookie.go", "standing.go", "ping.go"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range secret.FindAllString(string(b), -1) {
			if !strings.Contains(line, "subtle.ConstantTimeCompare") {
				t.Errorf("%s: %s", f, line)
			}
		}
		n += strings.Count(string(b), "subtle.ConstantTimeCompare(")
	}
	if n != 3 {
		t.Errorf("%d comparisons in constant time, want 3", n)
	}
}

// TestCookieSpellings: a peer that decodes and encodes our cookie again is still proven.
func TestCookieSpellings(t *testing.T) {
	a := ap("1.2.3.4:5")
	for _, s := range []struct {
		format string
		want   bool
	}{
		{`{"cookie":"%s"}`, true}, {`{"cookie": "%s"}`, true}, {"{ \"cookie\" :\n\"%s\" }", true},
		{`"%s"`, false}, {`{"cookie":["%s"]}`, false}, {`{"cookie":"%s","x":1}`, false}, {`{"Cookie":"%s"}`, false}, {`{"cookie":"%s "}`, false},
	} {
		p := newPeer(t, &fakeConn{}, Config{})
		text := p.Gate.cookies.Make(a, time.Now())
		wrong := `{"AlwaysReturned":{"cookie":"8 digits"}}`
		if got := p.receive(a, array(wrong, `{"AlwaysReturned":`+fmt.Sprintf(s.format, text[:])+`}`)); got.Proven != s.want {
			t.Errorf("%s: proven %v", s.format, got.Proven)
		}
		if p.Table.Proven(a) != s.want {
			t.Errorf("%s: standing %v", s.format, !s.want)
		}
		if n := p.Gate.Stats().CookiesWrong; (n == 1) == s.want {
			t.Errorf("%s: %d wrong cookies counted", s.format, n)
		}
	}
}

// TestTheirCookie: kept for the proven, byte for byte, the latest; too large is refused.
func TestTheirCookie(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	a := ap("1.2.3.4:5")
	text := p.Gate.cookies.Make(a, time.Now())
	proof := fmt.Sprintf(`{"AlwaysReturned":{"cookie":"%s"}}`, text[:])
	ask := func() string {
		t.Helper()
		b := p.Gate.NewBatch()
		buf, ok := b.Open(a, 0, Request)
		if !ok {
			t.Fatal("refused")
		}
		b.Close(wire.AppendMessage(buf, wire.PleaseSendPeers{}), 0)
		_ = b.Flush()
		return string(find(t, conn.take()[0].Data, "AlwaysReturned"))
	}
	big, bigger := `"`+strings.Repeat("y", 254)+`"`, `"`+strings.Repeat("z", 255)+`"`
	for _, s := range []struct{ say, want string }{
		{`{"PleaseAlwaysReturnThisMessage":{"sent_at": 12.50}}`, `{"sent_at": 12.50}`},
		{`{"X":1}`, `{"sent_at": 12.50}`},
		{`{"PleaseAlwaysReturnThisMessage":[1]},{"PleaseAlwaysReturnThisMessage":[ 2 ]}`, `[ 2 ]`},
		{`{"PleaseAlwaysReturnThisMessage":` + bigger + `}`, `[ 2 ]`},
		{`{"PleaseAlwaysReturnThisMessage":` + big + `}`, big},
	} {
		p.receive(a, array(s.say, proof))
		if got := ask(); got != s.want {
			t.Errorf("%.60s: echoed %q, want %q", s.say, got, s.want)
		}
	}
	p.receive(a, array(`{"PleaseAlwaysReturnThisMessage":"forged"}`))
	if got := ask(); got != big {
		t.Errorf("a datagram without proof changed their cookie to %q", got)
	}
	if n := p.Gate.Stats().CookiesRefused; n != 1 {
		t.Errorf("%d cookies refused", n)
	}
}

func TestPingTokens(t *testing.T) {
	start := time.Now()
	c, _ := NewCookies(seeded(1), start)
	p := NewPings(c, start)
	a := ap("1.2.3.4:5")
	tok := p.Token(a, start.Add(3*time.Hour))
	now := start.Add(3*time.Hour + 40*time.Millisecond)
	if rtt, ok := p.Check(a, tok, now); !ok || rtt != 40*time.Millisecond {
		t.Errorf("%s: %v %v", tok, rtt, ok)
	}
	if _, ok := wire.CookieText(tok); !ok {
		t.Errorf("%s is not of the form that every peer understands", tok)
	}
	if _, ok := p.Check(a, []byte(strings.Replace(string(tok), ":", ": ", 1)), now); !ok {
		t.Error("another spelling was refused")
	}
	earlier := strings.Replace(string(tok), `":"00`, `":"0f`, 1)
	for name, bad := range map[string]string{"changed time": earlier, "empty": "", "number": "7", "short": `{"cookie":"00"}`, "not hex": `{"cookie":"` + strings.Repeat("zz", 16) + `"}`} {
		if _, ok := p.Check(a, []byte(bad), now); ok {
			t.Errorf("%s: %s passed", name, bad)
		}
	}
	if _, ok := p.Check(ap("1.2.3.4:6"), tok, now); ok {
		t.Error("another port returned it")
	}
	if _, ok := p.Check(a, tok, now.Add(time.Minute)); ok {
		t.Error("an hour-old token passed")
	}
	if _, ok := p.Check(a, tok, start); ok {
		t.Error("a token from the future passed")
	}
}
