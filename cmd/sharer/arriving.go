package main

import (
	"net/netip"

	"sharer/control"
	"sharer/daemon"
	"sharer/gateway"
	"sharer/node"
)

// serveArriving answers HTTP while get runs, as --http says: what arrives can be seen already. A daemon does so at an address of its own. That it cannot be
// is said, and nothing is fetched less for it.
func (o *options) serveArriving(p peer, scr *screen, links []string) (end func()) {
	end = func() {}
	if o.http == "off" {
		return end
	}
	var at netip.AddrPort
	switch p := p.(type) {
	case *control.Client:
		if at = p.About().Web; !at.IsValid() {
			scr.note("HTTP: %s answers none, so what arrives cannot be read yet", serving(p.About()))
			return end
		}
	case *node.Node:
		server, here, err := daemon.ServeArriving(p, o.http, o.log(scr))
		if err != nil {
			scr.note("HTTP: %v; what arrives cannot be read yet. Name another address with --http", err)
			return end
		}
		at, end = here, func() { _ = server.Close() } // what it served is whole, or was cut off as the process ends
	}
	path := "/"
	if len(links) == 1 {
		if of, err := gateway.PathOf(links[0]); err == nil {
			path = of
		}
	}
	if path != "/" {
		scr.note("it can be read while it arrives: http://%s%s", at, escape(path))
	} else {
		scr.note("contents can be read while they arrive: http://%s/blake3/...", at)
	}
	return end
}
