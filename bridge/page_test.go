package bridge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"sharer/identity"
)

const origin = "http://localhost:24255"

var (
	peer     = netip.MustParseAddrPort("192.0.2.1:24254")
	stranger = netip.MustParseAddrPort("198.51.100.1:53")
	friend   = identity.PublicKey{2}
)

// inSite runs f with a site, in virtual time.
func inSite(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		f(t, s)
		s.close()
		if n := s.node.seen.len(); n != 0 {
			t.Errorf("%d still observe", n)
		}
	})
}

func toKey(k identity.PublicKey, messages string) string {
	return fmt.Sprintf(`[{"Forward":{"to_ed25519":"%s","messages":%s}}]`, k, messages)
}

func toAddr(a netip.AddrPort, messages string) string {
	return fmt.Sprintf(`[{"Forward":{"src":"%s","messages":%s}}]`, a, messages)
}

// told is what a page hears of an arrival in which the peer says something.
func (p *tab) told(s *site, a Arrival) string {
	p.t.Helper()
	got := make(chan string)
	go func() { got <- p.read() }()
	s.node.seen.tell(a)
	return <-got
}

func (p *tab) leaves() {
	p.t.Helper()
	if err := p.CloseNow(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Error(err)
	}
	synctest.Wait()
}

// An answer is for the page that asked, an arrival for all; a signed one is what the node makes of it.
func TestAnswersAndArrivals(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.local = func(from netip.AddrPort, array []byte) []byte {
			if !from.Addr().IsLoopback() {
				t.Errorf("%s asks", from)
			}
			return fmt.Appendf(nil, `[{"Heard":%s}]`, array)
		}
		a, b := s.open(origin), s.open(origin)
		a.say(`[{"PleaseSendPeers":{}},{"Peers":{"peers":["198.51.100.1:53"]}},{"AlwaysReturned":{}},{"PleaseAlwaysReturnThisMessage":{}},7,{"ChatMessage":{"message":"/ping"}}]`)
		if got, want := a.read(), `[{"Heard":[{"PleaseSendPeers":{}},{"ChatMessage":{"message":"/ping"}}]}]`; got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
		a.say(`nonsense`)
		a.say(`[{"Nonsense":{}}]`)
		synctest.Wait()
		if st := s.bridge.Stats(); st.Ignored != 6 || st.Pages != 2 {
			t.Errorf("%+v", st)
		}
		in := Arrival{From: peer, Key: friend, Messages: []byte(`[{"Move":"\"é"}]`)}
		want := `[{"Forwarded":{"src":"192.0.2.1:24254","from_ed25519":"` + friend.String() + `","messages":"[{\"Move\":\"\\\"é\"}]","might_be_ip_spoofing":false}}]`
		s.node.seen.tell(in)
		for _, p := range []*tab{a, b} {
			if got := p.read(); got != want {
				t.Errorf("told %s, want %s", got, want)
			}
		}
		a.leaves()
		if n := s.node.seen.len(); n != 1 {
			t.Errorf("%d observe for one page", n)
		}
		b.leaves()
	})
}

// A page may send to keys, to proven peers, and to those that it was told of; not to anybody else (W11).
func TestWhereAPageMaySend(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		s.node.proven[peer] = true
		a, b := s.open(origin), s.open(origin)
		heard := netip.MustParseAddrPort("203.0.113.9:999")
		a.told(s, Arrival{From: heard, Messages: []byte(`[{"X":1}]`)})
		if got := b.read(); !strings.Contains(got, "203.0.113.9:999") {
			t.Errorf("%s", got)
		}
		_ = a.told(s, Arrival{From: peer, Messages: []byte(`[{"X":1}]`)}) // b has not read it yet, but was told
		c := s.open(origin)
		for _, tc := range []struct {
			name, text string
			page       *tab
			sent       bool
		}{
			{"to a key", toKey(friend, `[{"A":1}]`), a, true},
			{"to a proven peer", toAddr(peer, `[{"A":1}]`), c, true},
			{"to one that it heard from", toAddr(heard, `[{"A":1}]`), a, true},
			{"to that one in IPv6 form", toAddr(netip.MustParseAddrPort("[::ffff:203.0.113.9]:999"), `[{"A":1}]`), a, true},
			{"to one that another page heard from", toAddr(heard, `[{"A":1}]`), c, false},
			{"to its neighbour", toAddr(netip.AddrPortFrom(heard.Addr(), 998), `[{"A":1}]`), a, false},
			{"to a stranger", toAddr(stranger, `[{"A":1}]`), a, false},
			{"to broadcast", toAddr(netip.MustParseAddrPort("255.255.255.255:9"), `[{"A":1}]`), a, false},
			{"to a program here", toAddr(netip.MustParseAddrPort("127.0.0.1:22"), `[{"A":1}]`), a, false},
			{"Forward", toKey(friend, `[{"A":1},{"Forward":{"src":"127.0.0.1:9","messages":[]}}]`), a, false},
			{"Forwarded", toKey(friend, `[{"Forwarded":{}}]`), a, false},
			{"no messages", toKey(friend, `[7]`), a, false},
			{"nothing", toKey(friend, `[]`), a, false},
			{"no array", toKey(friend, `{}`), a, false},
			{"no receiver", `[{"Forward":{"messages":[{"A":1}]}}]`, a, false},
			{"a bad key", `[{"Forward":{"to_ed25519":"00","messages":[{"A":1}]}}]`, a, false},
		} {
			tc.page.say(tc.text)
			synctest.Wait()
			if got := s.node.took(); (len(got) == 1) != tc.sent || tc.sent && got[0].messages != `[{"A":1}]` {
				t.Errorf("%s: sent %v", tc.name, got)
			}
		}
		for _, p := range []*tab{a, b, c} {
			p.leaves()
		}
	})
}

// A letter to a key that must be looked for waits by itself: others go meanwhile, and no more wait than may.
func TestErrands(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		lost, hidden := identity.PublicKey{8}, identity.PublicKey{9}
		s.node.found[lost], s.node.found[hidden] = make(chan struct{}), make(chan struct{})
		a := s.open(origin)
		for i := range maxErrand + 3 {
			a.say(toKey(lost, fmt.Sprintf(`[{"A":%d}]`, i)))
		}
		a.say(toKey(friend, `[{"B":1}]`))
		synctest.Wait()
		if got := s.node.took(); len(got) != 1 || got[0].messages != `[{"B":1}]` {
			t.Errorf("sent %v", got)
		}
		close(s.node.found[lost])
		synctest.Wait()
		if got := s.node.took(); len(got) != maxErrand {
			t.Errorf("%d were sent when the key was found, want %d", len(got), maxErrand)
		}
		a.say(toKey(hidden, `[{"A":1}]`))
		time.Sleep(lookFor + time.Second)
		if st := s.bridge.Stats(); st.Failed != 1 || st.Poor != 3 || st.Sent != maxErrand+1 {
			t.Errorf("%+v", st)
		}
		a.say(toKey(hidden, `[{"A":1}]`)) // closing does not wait for it
		a.leaves()
	})
}

// A page that does not read is closed when a megabyte waits for it, and not before; others are told all.
func TestSlowPage(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		slow, good := s.open(origin), s.open(origin)
		frame := []byte(`[{"VideoFrame":"` + strings.Repeat("x", 10_000) + `"}]`)
		size := len(forwarded(&Arrival{From: peer, Key: friend}, frame)) + perText
		n := 0
		for ; s.bridge.Stats().Slow == 0 && n < 10_000; n++ {
			good.told(s, Arrival{From: peer, Key: friend, Messages: frame})
		}
		if want := maxQueued/size + 1; n != want {
			t.Errorf("closed at %d texts of %d bytes, want at %d", n, size, want)
		}
		synctest.Wait()
		if got, err := slow.ends(); err == nil || got > 1 {
			t.Errorf("%d texts came and then %v", got, err)
		}
		if st := s.bridge.Stats(); st.Pages != 1 || st.Slow != 1 {
			t.Errorf("%+v", st)
		}
		good.leaves()
	})
}

// Strangers and transfers cannot fill what waits for a page: what may be forged leaves three quarters free.
func TestFloodOfArrivals(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		a := s.open(origin)
		for range 10_000 {
			s.node.seen.tell(Arrival{From: stranger, Messages: []byte(`[{"X":"` + strings.Repeat("x", 1000) + `"}]`), Spoofable: true})
			s.node.seen.tell(Arrival{From: peer, Messages: []byte(` [ {"Content":{"base64":"` + strings.Repeat("A", 5000) + `"}}]`)})
		}
		a.told(s, Arrival{From: peer, Key: friend, Messages: []byte(`[{"Frame":"` + strings.Repeat("x", 50_000) + `"}]`)})
		if st := s.bridge.Stats(); st.Pages != 1 || st.Slow != 0 || st.Shed < 15_000 {
			t.Errorf("%+v", st)
		}
		a.leaves()
		// A second of transfers as fast as they come, to a page that reads.
		b := s.open(origin)
		stop := make(chan int)
		go func() {
			n, _ := b.ends()
			stop <- n
		}()
		begun, size := time.Now(), 0
		for range 1000 {
			content := []byte(`[{"Content":{"base64":"` + strings.Repeat("A", 5000) + `"}}]`)
			size += len(content)
			s.node.seen.tell(Arrival{From: peer, Messages: content})
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		b.leaves()
		if n := <-stop; n*5000 > 2*bulkRate+int(time.Since(begun).Seconds()*bulkRate) || n < 50 {
			t.Errorf("told of %d of 1000 answers with content", n)
		}
	})
}

// A message may have 256 KiB; one byte more ends the page, however it is cut.
func TestLongMessages(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		a := s.open(origin)
		a.say(strings.Repeat(" ", maxMessage))
		if synctest.Wait(); s.bridge.Stats().Ignored != 0 {
			t.Error("read faster than a page is read")
		}
		time.Sleep(time.Second) // it is read at 4 MiB/s
		if st := s.bridge.Stats(); st.Pages != 1 || st.Ignored != 1 {
			t.Errorf("%+v", st)
		}
		go func() { _ = a.Write(t.Context(), websocket.MessageText, bytes.Repeat([]byte(" "), maxMessage+1)) }()
		if _, err := a.ends(); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("%v", err)
		}
		a.leaves()
		b := s.open(origin)
		go func() { // fragments without end
			w, err := b.Writer(t.Context(), websocket.MessageText)
			for n := 0; err == nil && n < 4<<20; n += 1000 {
				_, err = w.Write(bytes.Repeat([]byte(" "), 1000))
			}
		}()
		if _, err := b.ends(); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("%v", err)
		}
		b.leaves()
	})
}

// frame is a WebSocket frame of a client whose mask is zero.
func frame(first byte, payload []byte) []byte {
	f := []byte{first, 0x80 | 126, 0, 0}
	binary.BigEndian.PutUint16(f[2:], uint16(len(payload)))
	return append(append(f, 0, 0, 0, 0), payload...)
}

// A message that never ends is no way to hold a page open, and pings are no way to keep a node busy.
func TestFramesWithoutEnd(t *testing.T) {
	for _, tc := range []struct {
		name    string
		first   byte // of the first frame, and of all others
		others  byte
		payload int
		within  time.Duration
	}{
		{"empty fragments", 0x01, 0x00, 0, wholeWithin + time.Second},
		{"tiny fragments", 0x01, 0x00, 1, wholeWithin + time.Second},
		{"pings", 0x89, 0x89, 100, 10 * time.Second},
		{"pongs", 0x8A, 0x8A, 0, 10 * time.Second},
		{"compressed", 0xC1, 0xC1, 100, time.Second},
		{"unknown", 0x83, 0x83, 1, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inSite(t, func(t *testing.T, s *site) {
				a := s.open(origin)
				begun := time.Now()
				ended := make(chan time.Duration)
				go func() {
					_, _ = io.Copy(io.Discard, a.raw) // pongs, and the end
					ended <- time.Since(begun)
				}()
				wrote := 0
				for first := tc.first; ; first = tc.others {
					n, err := a.raw.Write(frame(first, make([]byte, tc.payload)))
					wrote += n
					if err != nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if took := <-ended; took > tc.within || wrote > 1<<20 {
					t.Errorf("ended after %s and %d bytes", took, wrote)
				}
				a.leaves()
				if st := s.bridge.Stats(); st.Pages != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A page that says more than it may is read more slowly; what waits is the page's own.
func TestManyMessages(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		a := s.open(origin)
		go func() { _, _ = a.ends() }()
		text := []byte(toKey(friend, `[{"A":1}]`))
		begun, said := time.Now(), 0
		for time.Since(begun) < 10*time.Second {
			if err := a.Write(t.Context(), websocket.MessageText, text); err != nil {
				t.Fatal(err)
			}
			said++
		}
		if n := len(s.node.took()); n > saidRate*11 || n < saidRate*10 || said > n+2 {
			t.Errorf("%d of %d messages were taken in 10 s", n, said)
		}
		a.leaves()
	})
}

// All pages of an origin share a budget; another origin has its own.
func TestBudgetOfAnOrigin(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		s.node.known[friend] = true
		letter := toKey(friend, `[{"A":"`+strings.Repeat("x", 50_000)+`"}]`)
		var pages []*tab
		for range 2 {
			p := s.open(origin)
			pages = append(pages, p)
			go func() {
				for p.Write(t.Context(), websocket.MessageText, []byte(letter)) == nil {
				}
			}()
		}
		time.Sleep(time.Second)
		got := 0
		for _, m := range s.node.took() {
			got += len(m.messages)
		}
		if got > 2*purseBytes || got < purseBytes {
			t.Errorf("%d bytes left in a second, %d may", got, purseBytes)
		}
		other := s.open("http://127.0.0.1:24255")
		other.say(toKey(friend, `[{"B":1}]`))
		synctest.Wait()
		if sent := s.node.took(); len(sent) == 0 || sent[len(sent)-1].messages != `[{"B":1}]` {
			t.Error("another origin's letter was not sent")
		}
		other.leaves()
		for _, p := range pages {
			p.leaves()
		}
		again := s.open(origin) // who comes again has the same budget
		again.say(letter)
		synctest.Wait()
		again.leaves()
		if len(s.bridge.purses) != 2 {
			t.Errorf("%d budgets", len(s.bridge.purses))
		}
	})
}

// What is bounded: pages in all, and of an origin. Who is too many is told so.
func TestTooManyPages(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		refused := func(origin, why string) {
			t.Helper()
			_, resp, err := s.dial(origin)
			if err == nil {
				t.Fatalf("a page of %s too many was let in", origin)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusServiceUnavailable || string(text) != why+"\n" {
				t.Errorf("%d %s %v", resp.StatusCode, text, err)
			}
		}
		var pages []*tab
		for i := range maxPages {
			if i == maxOfOrigin {
				refused("http://app-0", ErrFull.Error())
			}
			pages = append(pages, s.open(fmt.Sprint("http://app-", i/maxOfOrigin)))
		}
		refused("http://another", ErrFull.Error())
		if st := s.bridge.Stats(); st.Pages != maxPages {
			t.Errorf("%+v", st)
		}
		for _, p := range pages {
			p.leaves()
		}
		s.bridge.Close()
		refused(origin, ErrClosed.Error())
	})
}

// Budgets of origins are bounded too, and are not kept for those who are gone.
func TestManyOrigins(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		for i := range maxPurses {
			p, err := s.bridge.admit(fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			s.bridge.dismiss(p)
		}
		if _, err := s.bridge.admit("one more"); !errors.Is(err, ErrFull) {
			t.Errorf("%v", err)
		}
		time.Sleep(keepPurse + time.Second)
		p, err := s.bridge.admit("one more")
		if err != nil || len(s.bridge.purses) != 1 {
			t.Fatalf("%v, %d budgets", err, len(s.bridge.purses))
		}
		s.bridge.dismiss(p)
	})
}

// A page that answers pings stays, though it says nothing; one that is gone does not.
func TestIdlePages(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		quiet := s.open(origin)
		go func() { _, _ = quiet.ends() }() // reading answers pings
		gone := s.open(origin)
		time.Sleep(pingEvery + pongWithin + time.Second)
		if st := s.bridge.Stats(); st.Pages != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Hour)
		if st := s.bridge.Stats(); st.Pages != 1 {
			t.Errorf("after an hour: %+v", st)
		}
		quiet.say(`[]`)
		quiet.leaves()
		gone.leaves()
	})
}

// The end of the node ends all pages.
func TestCloseEndsPages(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		a := s.open(origin)
		s.bridge.Close()
		if _, err := a.ends(); err == nil {
			t.Error("still open")
		}
		a.leaves()
	})
}

// A permission that is taken back ends the page within a second.
func TestPageThatMayNotStay(t *testing.T) {
	inSite(t, func(t *testing.T, s *site) {
		var gone atomic.Bool
		s.stays = func() bool { return !gone.Load() }
		a := s.open(origin)
		time.Sleep(time.Minute / 2)
		begun := time.Now()
		gone.Store(true)
		if _, err := a.ends(); err == nil || time.Since(begun) > lookEvery {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		a.leaves()
	})
}
