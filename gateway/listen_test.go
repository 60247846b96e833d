package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// W6: connections that never come to a request keep nobody out, and one address of another machine takes its share only.
func TestDoor(t *testing.T) {
	d := &door{guests: map[net.Conn]*guest{}, perHost: map[netip.Prefix]int{}, most: 8, mostPerHost: 3}
	now := time.Unix(1e9, 0)
	enter := func(from string) (*fakeConn, bool) {
		now = now.Add(time.Second)
		c := &fakeConn{from: from}
		return c, d.admit(c, now)
	}
	var far []*fakeConn
	for range 3 {
		c, ok := enter("198.51.100.7:1")
		if !ok {
			t.Fatal("no room in an empty house")
		}
		far = append(far, c)
	}
	if _, ok := enter("198.51.100.7:2"); !ok || !far[0].closed || far[1].closed {
		t.Errorf("a fourth of one address does not take the place of its first: %v", far)
	}
	for _, g := range d.guests {
		g.busy = true
	}
	if _, ok := enter("198.51.100.7:3"); ok {
		t.Error("those that are served make room")
	}
	var near []*fakeConn
	for i := range 20 { // slow headers from this machine
		c, ok := enter(fmt.Sprintf("127.0.0.1:%d", i+1))
		if !ok {
			t.Fatalf("%d: no room", i)
		}
		near = append(near, c)
	}
	if len(d.guests) != 8 || !near[14].closed || near[15].closed || far[1].closed {
		t.Errorf("%d connections", len(d.guests))
	}
	for a, b := range map[string]string{"[2001:db8::1]:1": "[2001:db8::2]:1", "[::ffff:198.51.100.9]:1": "198.51.100.9:1"} {
		if hostOf(&fakeConn{from: a}) != hostOf(&fakeConn{from: b}) {
			t.Errorf("%s and %s count apart", a, b)
		}
	}
	for _, c := range near {
		d.state(c, http.StateClosed)
	}
	if len(d.guests) != 3 || len(d.perHost) != 1 {
		t.Errorf("%d connections, %d addresses are left", len(d.guests), len(d.perHost))
	}
}

type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}
func (c *fakeConn) Close() error { c.closed = true; return nil }

// The same over sockets: with every place taken by half a request, a whole one is answered.
func TestSlowHeadersKeepNobodyOut(t *testing.T) {
	base := live(t, func(*Config) {})
	addr := strings.TrimPrefix(base, "http://")
	for range maxConns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	resp, err := http.Get(base + "/nothing")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Logf("answered %d after %v beside %d connections", resp.StatusCode, time.Since(began).Round(time.Millisecond), maxConns)
	if resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	base := live(t, func(*Config) {})
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", resp.StatusCode)
	}
}
