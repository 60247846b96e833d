package portmap

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// router is a gateway that a test scripts, and all of the network: whatever is sent or dialled anywhere is noted.
type router struct {
	pcp, natpmp, upnp bool // what it speaks
	at, own           netip.Addr
	external          netip.Addr
	taken             map[uint16]bool // external ports of others
	onlyPermanent     bool
	refuses           int           // the error with which onlyPermanent refuses a lease; 0: 725
	version1          bool          // its service is WANIPConnection:1
	mute              bool          // it answers nothing from now on
	written           atomic.Int64  // bytes of HTTP answers
	lease             time.Duration // granted at most; 0: what is asked for

	ssdp   func() string                                   // nil: the true location
	web    func(http.ResponseWriter, *http.Request) bool   // true: it has answered
	forged func(to netip.AddrPort, request []byte) []spoof // sent before an answer

	mu       sync.Mutex
	booted   time.Time
	mappings map[uint16]time.Time // external port → end, zero: none
	internal map[uint16]uint16    // external port → internal port, where a request named both
	everAt   map[netip.Addr]int   // datagrams and connections, by where they went
	adds     int                  // mappings made or renewed
	asked    int                  // datagrams and HTTP requests that it got
	lies     int
	nextHole int
}

// spoof is a datagram from anybody.
type spoof struct {
	from netip.AddrPort
	data []byte
}

func newRouter() *router {
	return &router{
		at: inside, own: netip.MustParseAddr("192.168.77.2"), external: outside, taken: map[uint16]bool{}, booted: time.Now(),
		mappings: map[uint16]time.Time{}, internal: map[uint16]uint16{}, everAt: map[netip.Addr]int{},
	}
}

var _ Network = (*router)(nil)

func (r *router) Gateway(v6 bool) (netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v6 != r.at.Is6() {
		return netip.Addr{}, nil
	}
	return r.at, nil
}

func (r *router) Local(netip.Addr) (netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own, nil
}

func (r *router) Packets(netip.Addr) (Packets, error) {
	return &packets{r: r, in: make(chan spoof, 64), changed: make(chan struct{})}, nil
}

// Dial connects to its web server, whoever is named.
func (r *router) Dial(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
	r.mu.Lock()
	r.everAt[to.Addr()]++
	web := netip.AddrPortFrom(r.at, 5000)
	r.mu.Unlock()
	if r.silent() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if !r.upnp || to != web {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go r.serve(&counting{theirs, r})
	return ours, nil
}

func (r *router) serve(c net.Conn) {
	defer c.Close()
	request, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(request.Body)
	request.Body = io.NopCloser(bytes.NewReader(body))
	w := &answer{c: c, header: http.Header{}}
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	if r.web == nil || !r.web(w, request) {
		r.http(w, request, string(body))
	}
}

// answer writes one HTTP answer.
type answer struct {
	c      net.Conn
	header http.Header
	begun  bool
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(code int) {
	a.begun = true
	fmt.Fprintf(a.c, "HTTP/1.1 %d X\r\nConnection: close\r\n", code)
	_ = a.header.Write(a.c)
	_, _ = io.WriteString(a.c, "\r\n")
}

func (a *answer) Write(b []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return a.c.Write(b)
}

// element is the text of one in a SOAP request.
func element(body, name string) string {
	_, rest, _ := strings.Cut(body, "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

func (r *router) http(w http.ResponseWriter, request *http.Request, body string) {
	if request.URL.Path == "/rootDesc.xml" {
		doc, err := os.ReadFile("testdata/miniupnpd/rootDesc.xml")
		if err != nil {
			panic(err)
		}
		if r.version1 {
			doc = bytes.ReplaceAll(doc, []byte(mapKinds[0]), []byte(mapKinds[1]))
		}
		_, _ = w.Write(doc)
		return
	}
	_, action, _ := strings.Cut(strings.Trim(request.Header.Get("SOAPAction"), `"`), "#")
	fault := func(code int) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>%d</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>", code)
	}
	done := func(inner string) {
		fmt.Fprintf(w, "<s:Envelope><s:Body><u:%sResponse>%s</u:%sResponse></s:Body></s:Envelope>", action, inner, action)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	port, _ := strconv.ParseUint(element(body, "NewExternalPort"), 10, 16)
	seconds, _ := strconv.Atoi(element(body, "NewLeaseDuration"))
	lease := time.Duration(seconds) * time.Second
	switch action {
	case "AddPortMapping":
		switch {
		case r.onlyPermanent && lease > 0:
			fault(cmp.Or(r.refuses, 725))
		case r.taken[uint16(port)]:
			fault(718)
		default:
			r.mapLocked(uint16(port), lease)
			done("")
		}
	case "AddAnyPortMapping":
		for r.taken[uint16(port)] {
			port++
		}
		r.mapLocked(uint16(port), lease)
		done(fmt.Sprintf("<NewReservedPort>%d</NewReservedPort>", port))
	case "GetSpecificPortMappingEntry":
		if _, ok := r.mappings[uint16(port)]; !ok {
			fault(714)
			return
		}
		done("<NewInternalPort>24254</NewInternalPort>")
	case "GetExternalIPAddress":
		if !r.external.IsValid() {
			fault(501)
			return
		}
		done("<NewExternalIPAddress>" + r.external.String() + "</NewExternalIPAddress>")
	case "DeletePortMapping":
		delete(r.mappings, uint16(port))
		done("")
	case "AddPinhole":
		r.nextHole++
		r.mapLocked(uint16(r.nextHole), time.Hour)
		done(fmt.Sprintf("<UniqueID>%d</UniqueID>", r.nextHole))
	case "UpdatePinhole", "DeletePinhole":
		id, _ := strconv.Atoi(element(body, "UniqueID"))
		if _, ok := r.mappings[uint16(id)]; !ok {
			fault(704)
			return
		}
		if delete(r.mappings, uint16(id)); action == "UpdatePinhole" {
			r.mapLocked(uint16(id), time.Hour)
		}
		done("")
	default:
		fault(401)
	}
}

// mapLocked makes or renews a mapping. A router that grants less than what is asked for says so.
func (r *router) mapLocked(port uint16, lease time.Duration) time.Duration {
	if r.lease > 0 {
		lease = min(lease, r.lease)
	}
	r.adds++
	r.mappings[port] = time.Time{}
	if lease > 0 {
		r.mappings[port] = time.Now().Add(lease)
	}
	return lease
}

// unmapLocked removes what leads to an internal port.
func (r *router) unmapLocked(to uint16) {
	for port, internal := range r.internal {
		if internal == to {
			delete(r.mappings, port)
		}
	}
}

// held are the external ports that are mapped now.
func (r *router) held() (ports []uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for port, end := range r.mappings {
		if end.IsZero() || time.Now().Before(end) {
			ports = append(ports, port)
		}
	}
	return ports
}

// counting is the router's end of a connection.
type counting struct {
	net.Conn
	r *router
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.r.written.Add(int64(n)) // its lock may be held
	return n, err
}

func (r *router) silent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mute
}

// quiet makes it silent, or ends that.
func (r *router) quiet(mute bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mute = mute
}

// reboot loses all state.
func (r *router) reboot() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.booted, r.mappings = time.Now(), map[uint16]time.Time{}
}

// counted are how often it was asked, and how often it made or renewed a mapping.
func (r *router) counted() (asked, adds int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, r.adds
}

// elsewhere is how often anything left for another address than its own.
func (r *router) elsewhere() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, k := range r.everAt {
		if a != r.at {
			n += k
		}
	}
	return n
}

func (r *router) epoch() uint32 { return uint32(time.Since(r.booted) / time.Second) }

// datagram answers one.
func (r *router) datagram(to netip.AddrPort, b []byte) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.everAt[to.Addr()]++
	if to.Addr() != r.at || r.mute {
		return nil
	}
	r.asked++
	switch {
	case to.Port() == ssdpPort && r.upnp:
		location := fmt.Sprintf("http://%s/rootDesc.xml", netip.AddrPortFrom(r.at, 5000))
		if r.ssdp != nil {
			location = r.ssdp()
		}
		return [][]byte{[]byte("HTTP/1.1 200 OK\r\nLOCATION: " + location + "\r\n\r\n")}
	case to.Port() != serverPort || len(b) < 2:
		return nil
	case b[0] == pcpVersion && r.pcp:
		return [][]byte{r.pcpLocked(b)}
	case b[0] == pcpVersion && r.natpmp: // RFC 6886 section 3.5
		return [][]byte{append([]byte{0, 0x80 | b[1], 0, 1}, 0, 0, 0, 0)}
	case b[0] == natpmpVersion && r.natpmp:
		return [][]byte{r.natpmpLocked(b)}
	}
	return nil
}

func (r *router) pcpLocked(b []byte) []byte {
	lease := time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	out := make([]byte, pcpHeader)
	out[0], out[1] = pcpVersion, 0x80|b[1]
	binary.BigEndian.PutUint32(out[8:], r.epoch())
	if b[1] != opMap {
		return out
	}
	out = append(out, b[pcpHeader:pcpMapSize]...)
	port := binary.BigEndian.Uint16(b[42:])
	if lease == 0 {
		r.unmapLocked(binary.BigEndian.Uint16(b[40:]))
		return out
	}
	for r.taken[port] {
		port++
	}
	lease = r.mapLocked(port, lease)
	r.internal[port] = binary.BigEndian.Uint16(b[40:])
	binary.BigEndian.PutUint32(out[4:], uint32(lease/time.Second))
	binary.BigEndian.PutUint16(out[42:], port)
	a := r.external.As16()
	copy(out[44:], a[:])
	return out
}

func (r *router) natpmpLocked(b []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{0, 0x80 | b[1], 0, 0}, r.epoch())
	if b[1] == opExternalAddress {
		a := r.external.As4()
		return append(out, a[:]...)
	}
	port, lease := binary.BigEndian.Uint16(b[6:]), time.Duration(binary.BigEndian.Uint32(b[8:]))*time.Second
	if lease == 0 {
		r.unmapLocked(binary.BigEndian.Uint16(b[4:]))
		port = 0
	} else {
		for r.taken[port] {
			port++
		}
		lease = r.mapLocked(port, lease)
		r.internal[port] = binary.BigEndian.Uint16(b[4:])
	}
	out = append(out, b[4:6]...)
	out = binary.BigEndian.AppendUint16(out, port)
	return binary.BigEndian.AppendUint32(out, uint32(lease/time.Second))
}

// packets is a UDP socket of the client.
type packets struct {
	r  *router
	in chan spoof

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed when deadline changes
	closed   bool
}

func (p *packets) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if p.r.forged != nil {
		for _, s := range p.r.forged(to, b) {
			p.r.mu.Lock()
			p.r.lies++
			p.r.mu.Unlock()
			p.in <- s
		}
	}
	for _, a := range p.r.datagram(to, b) {
		p.in <- spoof{to, a}
	}
	return len(b), nil
}

func (p *packets) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		p.mu.Lock()
		changed, wait := p.changed, time.Until(p.deadline)
		p.mu.Unlock()
		if wait <= 0 {
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(wait)
		select {
		case s := <-p.in:
			timer.Stop()
			return copy(b, s.data), s.from, nil
		case <-changed:
			timer.Stop()
		case <-timer.C:
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		}
	}
}

func (p *packets) SetReadDeadline(at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = at
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

func (p *packets) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}
