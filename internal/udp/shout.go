package udp

import (
	"errors"
	"net"
	"net/netip"
)

// shout sends to all hosts of a link: to a broadcast or multicast address. It is the slow path, for
// an announcement a minute, and takes care that nothing goes further than the link.
func (s *sock) shout(lan *lan, data []byte, to netip.AddrPort) error {
	s.shouting.Lock()
	defer s.shouting.Unlock()
	ip := to.Addr()
	if !ip.IsMulticast() {
		return s.writeOneHop(data, to)
	}
	if ip.Is6() {
		return s.write(data, to) // the zone names the interface
	}
	// An IPv4 multicast goes by one interface, by default that of the default route, which a LAN
	// without internet has not got. So it is sent by each in turn.
	var errs []error
	sent := false
	for _, i := range lan.multicast4 {
		err := s.p4.SetMulticastInterface(&net.Interface{Index: i.index, Name: i.name})
		if err == nil {
			err = s.write(data, to)
		}
		sent = sent || err == nil
		errs = append(errs, err)
	}
	if sent {
		return nil
	}
	if err := s.write(data, to); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return nil
}
