package swarm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sharer/wire"
)

// faulty fails as told, per destination port: a list of errors, one for each try; nil and what comes
// after the list succeeds.
type faulty struct {
	fakeConn
	script map[uint16][]error
	tries  []uint16 // ports, as the socket saw them
}

func newFaulty() *faulty {
	c := &faulty{script: map[uint16][]error{}}
	c.fail = func(d wire.Datagram) error {
		port := d.Addr.Port()
		c.tries = append(c.tries, port)
		if len(c.script[port]) == 0 {
			return nil
		}
		err := c.script[port][0]
		c.script[port] = c.script[port][1:]
		return err
	}
	return c
}

// TestSendFaults is N22: what a socket may say, what is tried again and when, what is counted, and who
// is told. Seven datagrams go to the ports 1 to 7; the script is that of port 3.
func TestSendFaults(t *testing.T) {
	wrapped := func(errno syscall.Errno) error { // as the net package hands it out
		return &net.OpError{Op: "write", Net: "udp", Err: os.NewSyscallError("sendto", errno)}
	}
	straight, twice, later := []uint16{1, 2, 3, 4, 5, 6, 7}, []uint16{1, 2, 3, 3, 4, 5, 6, 7}, []uint16{1, 2, 3, 4, 5, 6, 7, 3}
	for name, s := range map[string]struct {
		script []error
		tries  []uint16
		fault  Fault // of the datagram, if it failed in the end
		failed bool
	}{
		"all is well":                {nil, straight, 0, false},
		"ENOBUFS":                    {[]error{wrapped(syscall.ENOBUFS)}, later, 0, false},
		"EAGAIN":                     {[]error{wrapped(syscall.EAGAIN)}, later, 0, false},
		"ENOBUFS, still":             {[]error{wrapped(syscall.ENOBUFS), wrapped(syscall.ENOBUFS)}, later, FaultBusy, true},
		"ENOBUFS, then EPERM":        {[]error{wrapped(syscall.ENOBUFS), wrapped(syscall.EPERM)}, later, FaultForbidden, true},
		"EIO":                        {[]error{wrapped(syscall.EIO)}, twice, 0, false},
		"EIO, still":                 {[]error{wrapped(syscall.EIO), wrapped(syscall.EIO)}, twice, FaultDevice, true},
		"EIO, then ENOBUFS":          {[]error{wrapped(syscall.EIO), wrapped(syscall.ENOBUFS)}, []uint16{1, 2, 3, 3, 4, 5, 6, 7, 3}, 0, false},
		"EIO, then EMSGSIZE":         {[]error{wrapped(syscall.EIO), wrapped(syscall.EMSGSIZE)}, twice, FaultTooLarge, true},
		"ECONNREFUSED of an earlier": {[]error{wrapped(syscall.ECONNREFUSED)}, twice, 0, false},
		"ECONNREFUSED":               {[]error{wrapped(syscall.ECONNREFUSED), wrapped(syscall.ECONNREFUSED)}, twice, FaultEarlier, true},
		"EPERM":                      {[]error{wrapped(syscall.EPERM)}, straight, FaultForbidden, true},
		"ENETUNREACH":                {[]error{wrapped(syscall.ENETUNREACH)}, straight, FaultUnreachable, true},
		"EHOSTUNREACH":               {[]error{wrapped(syscall.EHOSTUNREACH)}, straight, FaultUnreachable, true},
		"EMSGSIZE":                   {[]error{wrapped(syscall.EMSGSIZE)}, straight, FaultTooLarge, true},
		"something else":             {[]error{errTest}, straight, FaultOther, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := newFaulty()
			p := newPeer(t, conn, Config{})
			b := p.Gate.NewBatch()
			var told []*SendError
			b.Failed = func(e *SendError) { told = append(told, e) }
			for port := uint16(1); port <= 7; port++ {
				to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, 3, 4}), port)
				p.prove(t, to)
				buf, _ := b.Open(to, 0, Request)
				b.Close(append(buf, `{"X":1}`...), 0)
			}
			conn.script[3] = s.script
			err := b.Flush()
			if !slices.Equal(conn.tries, s.tries) {
				t.Errorf("tried %v, want %v", conn.tries, s.tries)
			}
			st, sent := p.Gate.Stats(), len(conn.take())
			resent := len(s.tries) > 7 && !s.failed
			if want := map[bool]int{false: 7, true: 6}[s.failed]; sent != want || st.Out[Request] != uint64(want) || (st.Resent == 1) != resent {
				t.Errorf("%d sent, %d counted, %d at the second try", sent, st.Out[Request], st.Resent)
			}
			if !s.failed {
				if err != nil || len(told) != 0 || st.SendErrors != 0 {
					t.Errorf("%v, told %v, %d errors", err, told, st.SendErrors)
				}
				return
			}
			last := s.script[len(s.script)-1]
			var se *SendError
			if !errors.As(err, &se) || len(told) != 1 || told[0] != se || se.To.Port() != 3 || se.Why != Request || se.Fault != s.fault || !errors.Is(se, last) || se.Size == 0 {
				t.Fatalf("%v, told %+v", err, told)
			}
			if st.SendErrors != 1 || st.Faults[s.fault] != 1 {
				t.Errorf("%d errors, by kind %v", st.SendErrors, st.Faults)
			}
			// The node stays up: the next one leaves.
			buf, _ := b.Open(se.To, 0, Request)
			b.Close(append(buf, `{"X":1}`...), 0)
			if err := b.Flush(); err != nil || len(conn.take()) != 1 {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

// TestEveryFailureIsTold: not only the first, also those of a flush that Close makes, and all of a closed socket.
func TestEveryFailureIsTold(t *testing.T) {
	conn := &fakeConn{}
	p := newPeer(t, conn, Config{})
	a := ap("1.2.3.4:5")
	p.prove(t, a)
	for fault, err := range map[Fault]error{FaultTooLarge: syscall.EMSGSIZE, FaultBusy: syscall.ENOBUFS, FaultClosed: net.ErrClosed} {
		tries, told := 0, 0
		conn.fail = func(wire.Datagram) error { tries++; return err }
		b := p.Gate.NewBatch()
		b.Failed = func(e *SendError) {
			if e.Fault == fault && errors.Is(e, err) {
				told++
			}
		}
		for range batchMost + 10 {
			buf, _ := b.Open(a, 0, Request)
			b.Close(append(buf, `{"X":1}`...), 0)
		}
		if told != batchMost {
			t.Errorf("%v: %d told after a full queue", err, told)
		}
		if got := b.Flush(); !errors.Is(got, err) || told != batchMost+10 {
			t.Errorf("%v: %v, %d told", err, got, told)
		}
		if want := map[Fault]int{FaultTooLarge: batchMost + 10, FaultBusy: 2 * (batchMost + 10), FaultClosed: 2}[fault]; tries != want {
			t.Errorf("%v: tried %d times, want %d", err, tries, want)
		}
		if n := p.Gate.Stats().Faults[fault]; n != batchMost+10 {
			t.Errorf("%v: counted %d", err, n)
		}
	}
	if st := p.Gate.Stats(); st.SendErrors != 3*(batchMost+10) {
		t.Errorf("%d errors", st.SendErrors)
	}
}

// lazy takes a few datagrams at a time, or none, and gives no reason.
type lazy struct {
	fakeConn
	most int
}

func (c *lazy) WriteBatch(ds []wire.Datagram) (int, error) {
	return c.fakeConn.WriteBatch(ds[:min(len(ds), c.most)])
}

// TestShortWrites: a socket that takes a few at a time gets the rest; one that takes nothing ends in
// errors, not in a loop.
func TestShortWrites(t *testing.T) {
	for most := range 4 {
		conn := &lazy{most: most}
		p := newPeer(t, conn, Config{})
		a := ap("1.2.3.4:5")
		p.prove(t, a)
		b := p.Gate.NewBatch()
		for i := range 10 {
			buf, _ := b.Open(a, 0, Request)
			b.Close(append(buf, fmt.Sprintf(`{"X":%d}`, i)...), 0)
		}
		err := b.Flush()
		sent := conn.take()
		if most == 0 {
			if !errors.Is(err, errNothingTaken) || len(sent) != 0 || p.Gate.Stats().SendErrors != 10 {
				t.Errorf("took nothing: %v, %d sent", err, len(sent))
			}
			continue
		}
		if err != nil || len(sent) != 10 {
			t.Fatalf("%d at a time: %v, %d sent", most, err, len(sent))
		}
		for i, d := range sent {
			if !strings.Contains(string(d.Data), fmt.Sprintf(`{"X":%d}`, i)) {
				t.Errorf("%d at a time: the %d. is %s", most, i, d.Data)
			}
		}
	}
}
