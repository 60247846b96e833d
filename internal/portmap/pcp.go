package portmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// PCP, RFC 6887. One request is of interest: MAP, which asks for a mapping of a port on
// an IPv4 gateway, and for a hole in the firewall of an IPv6 one.
const (
	pcpVersion    = 2
	opAnnounce    = 0
	opMap         = 1
	opResponse    = 0x80 // set in the opcode of what a server sends
	protocolUDP   = 17
	pcpHeader     = 24   // section 7.1
	pcpMapSize    = 60   // header and 36 bytes of MAP, section 11.1
	maxPCP        = 1100 // section 7
	pcpUnsuppVers = 1
)

// nonce says whose a mapping is: only who knows it may renew or delete it (section 11.2).
type nonce [12]byte

// pcpMap is a MAP request. The zero lifetime deletes.
type pcpMap struct {
	client    netip.Addr     // the address that the request is sent from
	nonce     nonce          // the same for all requests about one mapping
	internal  uint16         // port
	suggested netip.AddrPort // external; the zero value has no wish
	lifetime  time.Duration  // whole seconds
}

// append encodes the request.
func (m pcpMap) append(b []byte) []byte {
	b = appendPCPHeader(b, opMap, m.lifetime, m.client)
	b = append(b, m.nonce[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.internal)
	b = binary.BigEndian.AppendUint16(b, m.suggested.Port())
	wish := m.suggested.Addr()
	if !wish.IsValid() { // the unspecified address of the family that is wanted
		wish = netip.IPv6Unspecified()
		if m.client.Is4() {
			wish = netip.IPv4Unspecified()
		}
	}
	as16 := wish.As16()
	return append(b, as16[:]...)
}

// appendAnnounce encodes a question that changes nothing: its answer carries the epoch.
func appendAnnounce(b []byte, client netip.Addr) []byte {
	return appendPCPHeader(b, opAnnounce, 0, client)
}

func appendPCPHeader(b []byte, op byte, lifetime time.Duration, client netip.Addr) []byte {
	b = append(b, pcpVersion, op, 0, 0)
	b = binary.BigEndian.AppendUint32(b, wholeSeconds(lifetime))
	as16 := client.As16() // IPv4 as ::ffff:a.b.c.d (section 5)
	return append(b, as16[:]...)
}

// wholeSeconds is a lifetime as these protocols carry it.
func wholeSeconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// pcpReply is what a server answered.
type pcpReply struct {
	op       byte
	result   byte          // 0: success
	lifetime time.Duration // of the mapping, or of the error
	epoch    uint32        // seconds since the server lost its state
	nonce    nonce         // from here on only for opMap
	protocol byte
	internal uint16
	external netip.AddrPort
}

var (
	errMalformed  = errors.New("the answer is malformed")
	errOldVersion = errors.New("the gateway speaks NAT-PMP only")
)

// parsePCP reads an answer. errOldVersion is the answer of a NAT-PMP server (RFC 6886 section 3.5).
func parsePCP(b []byte) (r pcpReply, err error) {
	if len(b) >= 4 && b[0] == 0 && b[1]&opResponse != 0 {
		return r, errOldVersion
	}
	if len(b) < pcpHeader || len(b) > maxPCP || len(b)%4 != 0 || b[0] != pcpVersion || b[1]&opResponse == 0 {
		return r, errMalformed
	}
	r.op, r.result = b[1]&^opResponse, b[3]
	r.lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	r.epoch = binary.BigEndian.Uint32(b[8:])
	if r.op != opMap {
		return r, nil
	}
	if len(b) < pcpMapSize {
		return r, errMalformed
	}
	b = b[pcpHeader:]
	copy(r.nonce[:], b)
	r.protocol = b[12]
	r.internal = binary.BigEndian.Uint16(b[16:])
	r.external = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[20:36])).Unmap(), binary.BigEndian.Uint16(b[18:]))
	return r, nil
}

// answers reports whether the reply is one to the request, and not to another client's.
func (r pcpReply) answers(m pcpMap) bool {
	return r.op == opMap && r.nonce == m.nonce && r.protocol == protocolUDP && r.internal == m.internal
}

// pcpResults are the result codes of section 7.4.
var pcpResults = []string{
	"", "unsupported version", "not authorized", "malformed request", "unsupported opcode", "unsupported option", "malformed option", "network failure",
	"no resources", "unsupported protocol", "user exceeded quota", "cannot provide this external port", "address mismatch: is there another NAT before the gateway?", "excessive remote peers",
}

// err is the result as an error, nil for success.
func (r pcpReply) err() error {
	switch {
	case r.result == 0:
		return nil
	case int(r.result) < len(pcpResults):
		return errors.New(pcpResults[r.result])
	}
	return fmt.Errorf("result %d", r.result)
}
