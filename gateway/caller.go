package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Kind says what sort of somebody asks.
type Kind uint8

// The kinds of callers, from the most to the least trusted.
const (
	Own     Kind = iota + 1 // the node's own page, or an address typed into a browser
	Program                 // no browser: it runs on this machine, as the user's own programs do
	App                     // a page that the user has allowed: of a content, or of another origin
	Guest                   // a page of a content at its own origin that was not allowed
	Foreign                 // any other page
)

// Caller is who asks, as far as a request tells: browsers set Origin and Sec-Fetch-Site themselves, and no
// page can change them.
type Caller struct {
	Kind   Kind
	Origin string // as sent; empty: none
	Page   Page   // whose page that is, of App and Guest; the zero Page for another site
	At     Page   // whose origin is asked; the zero Page: the node's own
	Remote bool   // not from this machine
	Moves  bool   // a browser goes there, rather than a page asking for it
}

type callerKey struct{}

func withCaller(r *http.Request, c Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// CallerOf is who asks, for handlers that are mounted in a Gateway.
func CallerOf(r *http.Request) Caller {
	c, _ := r.Context().Value(callerKey{}).(Caller)
	return c
}

// identify looks at the Host and says who asks; ok is false for a Host that is not ours.
func (g *Gateway) identify(r *http.Request) (c Caller, ok bool) {
	host := strings.ToLower(r.Host)
	page, atPage := g.hosts.page(host)
	public := g.hosts.public(host)
	local := fromHere(r)
	switch {
	case local && !public && (atPage || g.hosts.own(host)):
	case public, !local && g.hosts.ofConn(r, host):
		// A proxy in front makes strangers look local: what comes by a public name is remote.
		c.Remote = true
	default:
		return Caller{}, false
	}
	c.Origin = r.Header.Get("Origin")
	c.At = page
	site := r.Header.Get("Sec-Fetch-Site")
	c.Moves = r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	switch {
	case c.Origin != "":
		c.Kind, c.Page = g.byOrigin(c.Origin)
	case site == "same-origin" || site == "none":
		c.Kind, c.Page = g.atHost(page), page
	case site != "":
		c.Kind = Foreign
	case r.Header.Get("Referer") != "":
		c.Kind, c.Page = g.byReferer(r.Header.Get("Referer"))
	case strings.HasPrefix(r.UserAgent(), "Mozilla/"):
		// A browser that does not say where a request comes from.
		c.Kind = Foreign
		c.Moves = strings.Contains(r.Header.Get("Accept"), "text/html")
	default:
		c.Kind = Program
	}
	return c, true
}

// atHost is who asks from the very origin that is asked.
func (g *Gateway) atHost(page Page) Kind {
	switch {
	case !page.Valid():
		return Own
	case g.grants.Allows(page.Key()):
		return App
	}
	return Guest
}

// byOrigin is whose origin that is.
func (g *Gateway) byOrigin(origin string) (Kind, Page) {
	host, ok := strings.CutPrefix(strings.ToLower(origin), "http://")
	if ok && g.hosts.own(host) {
		return Own, Page{}
	}
	if ok {
		if page, ok := g.hosts.page(host); ok {
			return g.atHost(page), page
		}
	}
	if g.grants.Allows(origin) {
		return App, Page{}
	}
	return Foreign, Page{}
}

func (g *Gateway) byReferer(referer string) (Kind, Page) {
	u, err := url.Parse(referer)
	if err != nil {
		return Foreign, Page{}
	}
	return g.byOrigin(u.Scheme + "://" + u.Host)
}

// fromHere says whether a request comes from a program on this machine, and not by a proxy.
func fromHere(r *http.Request) bool {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !a.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	return true
}

// hosts are the names that a gateway answers to.
type hosts struct {
	port   string
	names  []string // own ones, with the port
	extra  map[string]bool
	suffix string // of the origins of pages
}

func newHosts(addr netip.AddrPort, extra []string) hosts {
	_, port, _ := net.SplitHostPort(addr.String())
	h := hosts{port: port, extra: map[string]bool{}, suffix: ".localhost:" + port}
	h.names = []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port}
	if addr.Addr().IsLoopback() && addr.Addr() != netip.IPv6Loopback() {
		h.names = append(h.names, addr.String()) // 127.0.0.2, for one
	}
	for _, e := range extra {
		h.extra[strings.ToLower(e)] = true
	}
	return h
}

func (h hosts) first() string { return h.names[0] }

// full is a host with its port: browsers leave 80 out of a Host and an Origin, and then it is the port.
func (h hosts) full(host string) string {
	if h.port == "80" && !strings.HasSuffix(host, ":80") {
		return host + ":80"
	}
	return host
}

func (h hosts) own(host string) bool {
	host = h.full(host)
	for _, n := range h.names {
		if host == n {
			return true
		}
	}
	return false
}

func (h hosts) public(host string) bool { return h.extra[host] }

// ofConn says whether host is the very address that a remote request came to.
func (h hosts) ofConn(r *http.Request, host string) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil || ap.Addr().IsLoopback() {
		return false
	}
	return h.full(host) == netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()).String()
}

// page is the page whose origin a host is.
func (h hosts) page(host string) (Page, bool) {
	label, ok := strings.CutSuffix(h.full(host), h.suffix)
	if !ok {
		return Page{}, false
	}
	return parseLabel(label)
}
