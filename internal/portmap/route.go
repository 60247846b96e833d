package portmap

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Flags of a route, include/uapi/linux/route.h.
const (
	rtfUp      = 0x1
	rtfGateway = 0x2
	rtfReject  = 0x200
)

// parseRoute4 returns the default gateway of /proc/net/route: of several the one with the
// smallest metric, and the first of those; the zero Addr if there is none.
func parseRoute4(text string) netip.Addr {
	// Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT; addresses are
	// numbers in the byte order of the machine, which is little-endian nearly everywhere.
	var best netip.Addr
	least := uint64(math.MaxUint64)
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) < 8 || w[1] != "00000000" || w[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(w[3], 16, 32)
		if err != nil || flags&(rtfUp|rtfGateway|rtfReject) != rtfUp|rtfGateway {
			continue
		}
		raw, err := strconv.ParseUint(w[2], 16, 32)
		metric, err2 := strconv.ParseUint(w[6], 10, 32)
		if err != nil || err2 != nil || raw == 0 || metric >= least {
			continue
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(raw))
		best, least = netip.AddrFrom4(b), metric
	}
	return best
}

// parseRoute6 returns the default gateway of /proc/net/ipv6_route in the same way. A link-local one
// has its interface as zone.
func parseRoute6(text string) netip.Addr {
	// destination prefix source prefix next-hop metric refcnt use flags device, all hexadecimal
	const zero = "00000000000000000000000000000000"
	var best netip.Addr
	least := uint64(math.MaxUint64)
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) < 10 || w[0] != zero || w[1] != "00" || len(w[4]) != len(zero) || w[4] == zero {
			continue
		}
		flags, err := strconv.ParseUint(w[8], 16, 32)
		if err != nil || flags&(rtfUp|rtfGateway|rtfReject) != rtfUp|rtfGateway {
			continue
		}
		raw, err := hex.DecodeString(w[4])
		metric, err2 := strconv.ParseUint(w[5], 16, 32)
		if err != nil || err2 != nil || metric >= least {
			continue
		}
		a := netip.AddrFrom16([16]byte(raw))
		if a.Is4In6() || a.IsMulticast() || a.IsLoopback() {
			continue
		}
		if a.IsLinkLocalUnicast() {
			a = a.WithZone(w[9])
		}
		best, least = a, metric
	}
	return best
}
