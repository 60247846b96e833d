package portmap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	ssdpPort     = 1900
	maxAnswer    = 64 << 10        // bytes that are read of an HTTP answer, header and all
	httpTimeout  = 3 * time.Second // of an HTTP exchange, from its connection to its last byte
	maxLocations = 4               // descriptions that one search may lead to
	maxPorts     = 4               // external ports that are tried
	description  = "sharer"        // of a mapping, in the router's list
)

// Services that open ports, the better ones first.
var (
	mapKinds = []string{
		"urn:schemas-upnp-org:service:WANIPConnection:2",
		"urn:schemas-upnp-org:service:WANIPConnection:1",
		"urn:schemas-upnp-org:service:WANPPPConnection:1",
	}
	pinholeKinds = []string{"urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"}
)

var errNoService = errors.New("the gateway offers no port mapping")

// igd is UPnP's Internet Gateway Device: mappings of IPv4, pinholes of IPv6.
type igd struct {
	f          *fence
	randomPort func() uint16
	services   []service // as last discovered
	at         service   // the last that was asked for anything to last
	asking     uint16    // external port of an AddPortMapping that has not been answered; 0: none
	client     *http.Client
}

func newIGD(f *fence, randomPort func() uint16) *igd {
	return &igd{f: f, randomPort: randomPort, client: &http.Client{
		Timeout: httpTimeout,
		// An answer that leads elsewhere is an answer like any other, and not the one that was asked for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:              nil, // whatever the environment says
			DisableKeepAlives:  true,
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				_, text, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				port, err := strconv.ParseUint(text, 10, 16)
				if err != nil {
					return nil, err
				}
				// The transport goes on dialling when its request has been given up.
				ctx, cancel := context.WithTimeout(ctx, httpTimeout)
				defer cancel()
				return f.dial(ctx, uint16(port))
			},
		},
	}}
}

func (*igd) name() string { return "UPnP" }

// kinds are the services that are of use.
func (g *igd) kinds() []string {
	if g.f.gateway.Is4() {
		return mapKinds
	}
	return pinholeKinds
}

// discover finds the services of the gateway, unless they are known.
func (g *igd) discover(ctx context.Context) error {
	if len(g.services) > 0 {
		return nil
	}
	var requests [][]byte
	for _, target := range searchTargets {
		requests = append(requests, appendSearch(nil, netip.AddrPortFrom(g.f.gateway, ssdpPort), target))
	}
	var tried []string
	var failed error
	err := g.f.ask(ctx, ssdpPort, true, requests, func(b []byte) (bool, error) {
		location, err := parseSearchReply(b)
		if err != nil || slices.Contains(tried, location) {
			return false, nil
		}
		tried = append(tried, location)
		if err := g.describe(ctx, location); err != nil {
			failed = err
			if len(tried) == maxLocations {
				return true, err
			}
			return false, nil // another answer may be better
		}
		return true, nil
	})
	if errors.Is(err, errNoAnswer) && failed != nil {
		return failed
	}
	return err
}

// describe reads a device description.
func (g *igd) describe(ctx context.Context, location string) error {
	at, err := atGateway(nil, location, g.f.gateway)
	if err != nil {
		return err
	}
	status, doc, err := g.fetch(ctx, http.MethodGet, at, nil, "")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("the device description: HTTP status %d", status)
	}
	all, refused, err := parseDescription(doc, at, g.f.gateway)
	if err != nil {
		return fmt.Errorf("the device description: %w", err)
	}
	for _, kind := range g.kinds() {
		for _, s := range all {
			if s.kind == kind {
				g.services = append(g.services, s)
			}
		}
	}
	g.services = g.services[:min(len(g.services), maxLocations)]
	if len(g.services) > 0 {
		return nil
	}
	if refused > 0 {
		return fmt.Errorf("%w: %d services do not lie on it", errNoService, refused)
	}
	return errNoService
}

// fetch is one HTTP exchange with the gateway.
func (g *igd) fetch(ctx context.Context, verb string, at *url.URL, body []byte, action string) (status int, doc []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, verb, at.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("User-Agent", description+" UPnP/1.1")
	if action != "" {
		r.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
		r.Header["SOAPAction"] = []string{action} // some routers compare the case
	}
	answer, err := g.client.Do(r)
	if err != nil {
		return 0, nil, plain(err)
	}
	defer answer.Body.Close()
	doc, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // the connection is as short
	return answer.StatusCode, doc, plain(err)
}

// plain is an error of HTTP in fewer words.
func plain(err error) error {
	var e *url.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLong):
		return errTooLong
	case errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	case errors.As(err, &e):
		return e.Err
	}
	return err
}

// action runs an action of a service.
func (g *igd) action(ctx context.Context, s service, action string, args ...argument) (map[string]string, error) {
	_, doc, err := g.fetch(ctx, http.MethodPost, s.control, appendAction(nil, s.kind, action, args), `"`+s.kind+"#"+action+`"`)
	if err != nil {
		return nil, err
	}
	return parseActionReply(doc, action) // a fault has status 500 and says why
}

// add makes a mapping at the first service that takes it; the others are forgotten.
func (g *igd) add(ctx context.Context, w want, old grant) (grant, error) {
	if err := g.discover(ctx); err != nil {
		return grant{}, err
	}
	var failed error
	for _, s := range g.services {
		g.at = s
		got, err := g.addAt(ctx, s, w, old)
		if err == nil {
			g.services = []service{s}
			return got, nil
		}
		if ctx.Err() != nil {
			return grant{}, ctx.Err()
		}
		failed = err
	}
	g.services = nil // the next attempt looks anew
	return grant{}, failed
}

func (g *igd) addAt(ctx context.Context, s service, w want, old grant) (grant, error) {
	if s.kind == pinholeKinds[0] {
		return g.addPinhole(ctx, s, w, old)
	}
	got, err := g.addMapping(ctx, s, w)
	if err != nil {
		return grant{}, err
	}
	address, err := g.address(ctx, s)
	if ctx.Err() != nil {
		return grant{}, ctx.Err()
	}
	if err == nil {
		got.external = netip.AddrPortFrom(address, got.external.Port())
	}
	return got, nil
}

// addMapping asks for a port, for others if it is taken, and for ever if it must be. AddPortMapping
// comes first: it renews what is ours, where AddAnyPortMapping would give another port.
func (g *igd) addMapping(ctx context.Context, s service, w want) (grant, error) {
	port, lease := w.external.Port(), w.lease
	arguments := func() []argument {
		return []argument{
			{"NewRemoteHost", ""}, {"NewExternalPort", strconv.Itoa(int(port))}, {"NewProtocol", "UDP"}, {"NewInternalPort", strconv.Itoa(int(w.internal.Port()))},
			{"NewInternalClient", w.internal.Addr().String()}, {"NewEnabled", "1"}, {"NewPortMappingDescription", description},
			{"NewLeaseDuration", strconv.Itoa(int(wholeSeconds(lease)))},
		}
	}
	var err error
	for range maxPorts {
		g.asking = port
		if _, err = g.action(ctx, s, "AddPortMapping", arguments()...); errors.Is(err, igdOnlyPermanent) || errors.Is(err, igdInvalidArgs) && lease > 0 {
			lease = 0 // routers of old take no other (IGD:1)
			_, err = g.action(ctx, s, "AddPortMapping", arguments()...)
		}
		if ctx.Err() == nil {
			g.asking = 0
		}
		if err == nil {
			return grant{external: netip.AddrPortFrom(netip.Addr{}, port), lifetime: lease}, nil
		}
		if !errors.Is(err, igdConflict) && !errors.Is(err, igdConflictMechanism) {
			return grant{}, err
		}
		if s.kind == mapKinds[0] { // version 2 chooses itself
			values, err := g.action(ctx, s, "AddAnyPortMapping", arguments()...)
			if err != nil {
				return grant{}, err
			}
			reserved, err := strconv.ParseUint(values["NewReservedPort"], 10, 16)
			if err != nil || reserved == 0 {
				return grant{}, errMalformed
			}
			return grant{external: netip.AddrPortFrom(netip.Addr{}, uint16(reserved)), lifetime: lease}, nil
		}
		port = g.randomPort()
	}
	return grant{}, err
}

// address asks for the external address; routers that have none return an empty text.
func (g *igd) address(ctx context.Context, s service) (netip.Addr, error) {
	values, err := g.action(ctx, s, "GetExternalIPAddress")
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(values["NewExternalIPAddress"])
	if err != nil || !a.Is4() {
		return netip.Addr{}, errMalformed
	}
	return a, nil
}

// addPinhole opens the firewall for the own address, or prolongs that.
func (g *igd) addPinhole(ctx context.Context, s service, w want, old grant) (grant, error) {
	lease := strconv.Itoa(int(wholeSeconds(w.lease)))
	got := grant{external: w.internal, lifetime: w.lease, pinhole: old.pinhole}
	if old.pinhole != "" {
		_, err := g.action(ctx, s, "UpdatePinhole", argument{"UniqueID", old.pinhole}, argument{"NewLeaseTime", lease})
		if err == nil || !errors.Is(err, igdNoSuchPinhole) {
			return got, err
		}
	}
	values, err := g.action(ctx, s, "AddPinhole", argument{"RemoteHost", ""}, argument{"RemotePort", "0"},
		argument{"InternalClient", w.internal.Addr().String()}, argument{"InternalPort", strconv.Itoa(int(w.internal.Port()))},
		argument{"Protocol", strconv.Itoa(protocolUDP)}, argument{"LeaseTime", lease})
	if err != nil {
		return grant{}, err
	}
	id, err := strconv.ParseUint(values["UniqueID"], 10, 16)
	if err != nil {
		return grant{}, errMalformed
	}
	got.pinhole = strconv.Itoa(int(id))
	return got, nil
}

// lost looks whether the external address is another, or the mapping gone. A pinhole depends on no address.
func (g *igd) lost(ctx context.Context, held grant) bool {
	if held.pinhole != "" {
		return false
	}
	a, err := g.address(ctx, g.at)
	if err != nil || a != held.external.Addr() {
		return err == nil
	}
	_, err = g.action(ctx, g.at, "GetSpecificPortMappingEntry", argument{"NewRemoteHost", ""}, argument{"NewExternalPort", strconv.Itoa(int(held.external.Port()))}, argument{"NewProtocol", "UDP"})
	return errors.Is(err, igdNoSuchMapping)
}

func (g *igd) remove(ctx context.Context, _ want, held grant) error {
	s := g.at
	if s.control == nil {
		return nil // nothing was asked for
	}
	if s.kind == pinholeKinds[0] {
		if held.pinhole == "" {
			return nil // it cannot be named; it ends with its lease
		}
		_, err := g.action(ctx, s, "DeletePinhole", argument{"UniqueID", held.pinhole})
		return err
	}
	port := held.external.Port()
	if port == 0 {
		port = g.asking
	}
	if port == 0 { // nothing is out, or the router would have chosen the port: it ends with its lease
		return nil
	}
	_, err := g.action(ctx, s, "DeletePortMapping", argument{"NewRemoteHost", ""}, argument{"NewExternalPort", strconv.Itoa(int(port))}, argument{"NewProtocol", "UDP"})
	return err
}
