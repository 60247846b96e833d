package portmap

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// searchTargets are what a gateway is asked whether it is. One of version 2 answers to version
// 1 too (UPnP Device Architecture 1.1 section 1.3.2), but not all do.
var searchTargets = []string{
	"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
	"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
}

// appendSearch is a unicast M-SEARCH (UPnP Device Architecture 1.1 section 1.3.2): no multicast is sent, and so
// nobody but the gateway is asked.
func appendSearch(b []byte, to netip.AddrPort, target string) []byte {
	host := netip.AddrPortFrom(to.Addr().WithZone(""), to.Port())
	return fmt.Appendf(b, "M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n", host, target)
}

var errNotSSDP = errors.New("the answer to a search is malformed")

// parseSearchReply returns the address of the device description that a gateway named.
func parseSearchReply(b []byte) (location string, err error) {
	lines := strings.Split(string(b), "\n")
	status := strings.Fields(lines[0])
	if len(status) < 2 || !strings.HasPrefix(status[0], "HTTP/1.") || status[1] != "200" {
		return "", errNotSSDP
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(name), "location") {
			return strings.TrimSpace(value), nil
		}
	}
	return "", errNotSSDP
}

// atGateway resolves ref, which the gateway told, and refuses what does not lie on it. Whatever comes
// out here, connections go to the gateway's address only (see fence): a router whose IPv6 address
// is a link-local one names its global one, so of IPv6 any literal passes here.
func atGateway(base *url.URL, ref string, gateway netip.Addr) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(ref))
	if err != nil {
		return nil, errElsewhere(ref)
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	host, err := netip.ParseAddr(u.Hostname())
	port := 80
	if err == nil && u.Port() != "" {
		port, err = strconv.Atoi(u.Port())
	}
	switch {
	case err != nil, u.Scheme != "http", u.User != nil, u.Opaque != "", port < 1 || port > 65535:
		return nil, errElsewhere(ref)
	case gateway.Is4() && host.Unmap() != gateway, gateway.Is6() && !host.Is6():
		return nil, errElsewhere(ref)
	}
	u.Fragment = ""
	return u, nil
}

func errElsewhere(ref string) error {
	return fmt.Errorf("%.80q does not lie on the gateway", ref)
}
