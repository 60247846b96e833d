package wire

import "net/netip"

// Datagram is one UDP payload with the address it came from or goes to.
type Datagram struct {
	Addr netip.AddrPort // unmapped: IPv4 is plain IPv4; link-local IPv6 keeps its zone
	Via  uint8          // which of the node's sockets, 1-based; 0: let the socket choose by family
	Data []byte         // at most MaxDatagram bytes
}
