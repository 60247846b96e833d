package portmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// NAT-PMP, RFC 6886: the older form of PCP, for IPv4 only.
const (
	natpmpVersion     = 0
	opExternalAddress = 0
	opMapUDP          = 1
	natpmpAddressSize = 12 // section 3.2
	natpmpMapSize     = 16 // section 3.3
)

// appendExternalAddress encodes the question for the external address.
func appendExternalAddress(b []byte) []byte { return append(b, natpmpVersion, opExternalAddress) }

// natpmpMap is a request for a mapping. The zero lifetime deletes.
type natpmpMap struct {
	internal, external uint16        // the external port is a wish; 0 has none
	lifetime           time.Duration // whole seconds
}

// append encodes the request.
func (m natpmpMap) append(b []byte) []byte {
	b = append(b, natpmpVersion, opMapUDP, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.internal)
	b = binary.BigEndian.AppendUint16(b, m.external)
	return binary.BigEndian.AppendUint32(b, wholeSeconds(m.lifetime))
}

// natpmpReply is what a gateway answered.
type natpmpReply struct {
	op       byte
	result   uint16 // 0: success
	epoch    uint32 // seconds since the gateway lost its state
	address  netip.Addr
	internal uint16
	external uint16
	lifetime time.Duration
}

// parseNATPMP reads an answer. One that tells of an error may end behind the epoch, or
// even behind the result (section 3.5).
func parseNATPMP(b []byte) (r natpmpReply, err error) {
	if len(b) < 4 || b[0] != natpmpVersion || b[1]&opResponse == 0 {
		return r, errMalformed
	}
	r.op, r.result = b[1]&^opResponse, binary.BigEndian.Uint16(b[2:])
	if len(b) >= 8 {
		r.epoch = binary.BigEndian.Uint32(b[4:])
	}
	switch {
	case r.result != 0:
	case r.op == opExternalAddress && len(b) >= natpmpAddressSize:
		r.address = netip.AddrFrom4([4]byte(b[8:12]))
	case r.op == opMapUDP && len(b) >= natpmpMapSize:
		r.internal, r.external = binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])
		r.lifetime = time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second
	default:
		return r, errMalformed
	}
	return r, nil
}

// natpmpResults are the result codes of section 3.5.
var natpmpResults = []string{"", "unsupported version", "not authorized", "network failure", "out of resources", "unsupported opcode"}

// err is the result as an error, nil for success.
func (r natpmpReply) err() error {
	switch {
	case r.result == 0:
		return nil
	case int(r.result) < len(natpmpResults):
		return errors.New(natpmpResults[r.result])
	}
	return fmt.Errorf("result %d", r.result)
}
