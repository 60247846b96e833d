package netsim

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"time"
)

// Packet is a datagram as a tap sees it: as it is on the wire. Of hosts behind a NAT that is the address of the NAT,
// both when it is sent and when it arrives, but for what stays behind it.
type Packet struct {
	At       time.Time      // exact, also where a tick makes its reader wait
	From, To netip.AddrPort // of the fate of a broadcast: To is the host
	Behind   *NAT           // where the addresses hold: behind this NAT; nil: outside
	Data     []byte         // valid during the call
	Outcome  Outcome
}

// Tap has f called with every datagram that is sent, once, whatever becomes of it, by one goroutine
// and in order of time. f must not call the network. nil ends it.
func (n *Network) Tap(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// TapAll is Tap, and f is called once more for each copy when its fate is known. What a host
// receives, f sees before that host does.
func (n *Network) TapAll(f func(Packet)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tapAll = f
}

// TraceHash is a hash over the time, addresses, bytes and outcome of all that happened so far. It is
// comparable between processes.
func (n *Network) TraceHash() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace
}

// tellLocked takes down what happened to e at a time.
func (n *Network) tellLocked(e *event, at time.Duration, o Outcome) {
	h := mix(n.trace, uint64(at))
	h = mixAddr(h, e.from)
	h = mixAddr(h, e.to)
	n.trace = mix(h, uint64(e.sum)<<32|uint64(uint16(e.realm.id))<<8|uint64(o))
	if n.tapAll == nil && (n.tap == nil || o != Sent) {
		return
	}
	p := Packet{At: n.start.Add(at), From: e.from, To: e.to, Behind: e.realm.nat, Data: e.data, Outcome: o}
	if n.tap != nil && o == Sent {
		n.tap(p)
	}
	if n.tapAll != nil {
		n.tapAll(p)
	}
}

const (
	traceStart = 14695981039346656037
	traceMul   = 0x9e3779b97f4a7c15 // odd: each step is a bijection
)

// mix takes a word into a hash. Nobody chooses words against it: it tells runs apart, no more.
func mix(h, v uint64) uint64 {
	h = (h ^ v) * traceMul
	return h ^ h>>32
}

func mixAddr(h uint64, a netip.AddrPort) uint64 {
	b := a.Addr().As16()
	h = mix(h, binary.LittleEndian.Uint64(b[:8]))
	h = mix(h, binary.LittleEndian.Uint64(b[8:]))
	return mix(h, uint64(a.Port()))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is of data for the trace: 4 KiB take a fifth of a microsecond with the instruction for it.
func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }
