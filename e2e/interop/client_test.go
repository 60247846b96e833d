//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// client is a socket of the test's own in a place, for what no command of any program shows.
type client struct{ conn *net.UDPConn }

// client opens one; port 0 is any.
func (p *place) client(ip string, port uint16) *client {
	p.t.Helper()
	c := &client{}
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
	check(p.t, p.inside(func() (err error) {
		c.conn, err = net.ListenUDP("udp4", at)
		return err
	}))
	p.t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

// message is one element of a datagram.
type message map[string]json.RawMessage

// payload is that of the first message of a name, nil if there is none.
func payload(ms []message, name string) json.RawMessage {
	for _, m := range ms {
		if p, ok := m[name]; ok {
			return p
		}
	}
	return nil
}

// ask sends one datagram and returns the first that comes from there and is answer; size is its length.
func (c *client) ask(addr, text string, answer func([]message) bool) (ms []message, size int, err error) {
	to, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return nil, 0, err
	}
	if _, err := c.conn.WriteToUDP([]byte(text), to); err != nil {
		return nil, 0, err
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, 0, err
	}
	buf := make([]byte, 65536)
	for {
		n, from, err := c.conn.ReadFromUDP(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, 0, fmt.Errorf("%s does not answer %s: %w", addr, text, context.DeadlineExceeded)
		}
		if err != nil {
			return nil, 0, err
		}
		ms = nil
		if from.String() == addr && json.Unmarshal(buf[:n], &ms) == nil && answer(ms) {
			return ms, n, nil
		}
	}
}

// has makes an answer of any datagram that holds a message.
func has(name string) func([]message) bool {
	return func(ms []message) bool { return payload(ms, name) != nil }
}

// proof asks for the cookie of addr and returns the element that gives it back.
func (c *client) proof(addr string) (string, error) {
	ms, _, err := c.ask(addr, `[{"PleaseSendPeers":{}}]`, has("PleaseAlwaysReturnThisMessage"))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`{"AlwaysReturned":%s}`, payload(ms, "PleaseAlwaysReturnThisMessage")), nil
}

func addrPort(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(text)
	check(t, err)
	return a
}
