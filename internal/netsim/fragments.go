package netsim

import "time"

const (
	udpHeader  = 8
	ip4Header  = 20
	ip6Header  = 40
	ip6FragExt = 8 // the fragment header of IPv6 (RFC 8200 section 4.5)
)

// packetsOf is the number of IP packets that carry a datagram, and their bytes together. Fragments
// but the last are multiples of 8 bytes (RFC 791 section 3.2).
func packetsOf(payload, mtu int, v6 bool) (packets, bytes int) {
	header, ext := ip4Header, 0
	if v6 {
		header, ext = ip6Header, ip6FragExt
	}
	load := payload + udpHeader
	if mtu == 0 || load+header <= mtu {
		return 1, load + header
	}
	each := fragmentOf(mtu, v6) - header - ext
	packets = (load + each - 1) / each
	return packets, load + packets*(header+ext)
}

// fragmentOf is the bytes of all fragments but the last.
func fragmentOf(mtu int, v6 bool) int {
	header, ext := ip4Header, 0
	if v6 {
		header, ext = ip6Header, ip6FragExt
	}
	return max((mtu-header-ext)&^7, 8) + header + ext
}

// The reassembly pool of a host, as Linux has it (net.ipv4.ipfrag_high_thresh, ipfrag_time), and what one
// fragment of a 1500-byte packet costs there: the driver's buffer of 2 KiB and the bookkeeping.
const (
	poolBytes     = 4 << 20
	poolTime      = 30 * time.Second
	fragmentBytes = 2304
)

// pool is where fragments wait for the rest of their datagram. Datagrams that are whole pass
// through it at once, broken ones stay until they expire.
type pool struct {
	held   int
	broken []remainder // by time of expiry
}

type remainder struct {
	until time.Duration
	bytes int
}

func (p *pool) expire(now time.Duration) {
	for len(p.broken) > 0 && p.broken[0].until <= now {
		p.held -= p.broken[0].bytes
		p.broken = p.broken[1:]
	}
}

// room reports whether so many fragments can wait for each other.
func (p *pool) room(now time.Duration, fragments int) bool {
	p.expire(now)
	return p.held+fragments*fragmentBytes <= poolBytes
}

// keep takes what arrives of a broken datagram.
func (p *pool) keep(now time.Duration, fragments int) {
	if p.room(now, fragments) {
		p.held += fragments * fragmentBytes
		p.broken = append(p.broken, remainder{now + poolTime, fragments * fragmentBytes})
	}
}
