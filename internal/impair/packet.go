package impair

import (
	"encoding/binary"
	"errors"
)

// ip4Header is the length of a header without options (RFC 791 section 3.1).
const ip4Header = 20

// Flags of the third word of an IPv4 header.
const (
	flagDF     = 0x4000
	flagMF     = 0x2000
	offsetMask = 0x1fff // in units of 8 bytes
)

var errPacket = errors.New("no IP packet")

// header is what of an IP packet a link looks at.
type header struct {
	version  int
	length   int // of the header, for IPv4
	fragment bool
	df       bool // must not be cut here; always so under IPv6
}

// parse reads the header of a packet that is all of b.
func parse(b []byte) (h header, err error) {
	if len(b) == 0 {
		return h, errPacket
	}
	switch h.version = int(b[0] >> 4); h.version {
	case 4:
		h.length = int(b[0]&15) * 4
		if h.length < ip4Header || len(b) < h.length || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
			return h, errPacket
		}
		flags := binary.BigEndian.Uint16(b[6:])
		h.df = flags&flagDF != 0
		h.fragment = flags&(flagMF|offsetMask) != 0
	case 6:
		if len(b) < 40 || int(binary.BigEndian.Uint16(b[4:]))+40 != len(b) {
			return h, errPacket
		}
		h.df, h.fragment = true, b[6] == 44 // RFC 8200 section 4.5
	default:
		return h, errPacket
	}
	return h, nil
}

// cut makes fragments of at most mtu bytes of an IPv4 packet, as a router does (RFC 791 section 3.2). Options are
// copied to each, which is allowed for all that are left in use.
func cut(b []byte, h header, mtu int) (out [][]byte) {
	each := (mtu - h.length) &^ 7
	if each < 8 {
		return nil
	}
	flags := binary.BigEndian.Uint16(b[6:])
	load := b[h.length:]
	for at := 0; at < len(load); at += each {
		part := load[at:min(at+each, len(load))]
		f := append(append(make([]byte, 0, h.length+len(part)), b[:h.length]...), part...)
		more := flags & flagMF
		if at+each < len(load) {
			more = flagMF
		}
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		binary.BigEndian.PutUint16(f[6:], flags&flagDF|more|(flags&offsetMask+uint16(at/8)))
		f[10], f[11] = 0, 0
		binary.BigEndian.PutUint16(f[10:], checksum(f[:h.length]))
		out = append(out, f)
	}
	return out
}

// checksum is that of an IP header (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
