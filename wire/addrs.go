package wire

import "net/netip"

const (
	maxPeers     = 256 // addresses of a list that are kept
	maxZones     = 16  // of them with a zone: each new zone is remembered by netip
	maxPeersSeen = 512 // entries of a list that are looked at
	maxAddrText  = 72  // bytes of an entry: 45 of IPv6, a zone, brackets and a port
)

// addrs reads an array of "ip:port". Entries that are no addresses (host names,
// ports that are zero, rubbish of any kind) are skipped. IPv4 addresses in IPv6
// form become plain IPv4; zones are kept. At most maxPeers are kept.
func (c *cursor) addrs() (as []netip.AddrPort, ok bool) {
	zones := 0
	ok = c.array(func(i int) bool {
		if i >= maxPeersSeen || len(as) >= maxPeers || !c.at('"') {
			return c.pass()
		}
		t, ok := c.text()
		if !ok {
			return false
		}
		a, good := parseAddr(t)
		if good && a.Addr().Zone() != "" {
			zones++
			good = zones <= maxZones
		}
		if good {
			if as == nil {
				as = make([]netip.AddrPort, 0, c.room(maxPeers))
			}
			as = append(as, a)
		}
		return true
	})
	return as, ok
}

// parseAddr reads one "a.b.c.d:port" or "[v6]:port", as netip.ParseAddrPort does,
// but allocates nothing for IPv4 nor for what is no address.
func parseAddr(t []byte) (netip.AddrPort, bool) {
	if len(t) > maxAddrText || len(t) < len("[::]:1") {
		return netip.AddrPort{}, false
	}
	if t[0] != '[' {
		return parseIPv4(t)
	}
	for _, c := range t[1:] {
		if c == '%' {
			break
		}
		if nibble[c] > 15 && c != ':' && c != '.' && c != ']' {
			return netip.AddrPort{}, false
		}
	}
	a, err := netip.ParseAddrPort(string(t))
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
}

// parseIPv4 reads "a.b.c.d:port" without leading zeros in the address.
func parseIPv4(t []byte) (netip.AddrPort, bool) {
	var ip [4]byte
	i := 0
	for k := range ip {
		n, digits := 0, 0
		for ; i < len(t) && digits < 3 && '0' <= t[i] && t[i] <= '9'; i++ {
			n = n*10 + int(t[i]-'0')
			digits++
		}
		after := byte('.')
		if k == 3 {
			after = ':'
		}
		if digits == 0 || n > 255 || digits > 1 && t[i-digits] == '0' || i == len(t) || t[i] != after {
			return netip.AddrPort{}, false
		}
		ip[k] = byte(n)
		i++
	}
	port, digits := 0, t[i:]
	for _, c := range digits {
		if c < '0' || c > '9' || port > 65535 {
			return netip.AddrPort{}, false
		}
		port = port*10 + int(c-'0')
	}
	if port == 0 || port > 65535 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(port)), true
}

// appendAddrs appends key, which opens an array, the addresses and the closing
// bracket. Strict peers drop a whole list for one bad entry, so invalid addresses
// are left out.
func appendAddrs(dst []byte, key string, as []netip.AddrPort) []byte {
	dst = append(dst, key...)
	first := true
	for _, a := range as {
		if !a.IsValid() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		// By way of a string, because a zone may hold any character.
		var buf [maxAddrText]byte
		dst = appendString(dst, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).AppendTo(buf[:0]))
	}
	return append(dst, ']')
}
