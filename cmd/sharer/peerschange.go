package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/control"
)

// livePeers lists whom the daemon knows.
func livePeers(ctx context.Context, o *peersOptions, c *control.Client, s *stdio) error {
	peers, err := c.PeerTable(ctx)
	if err != nil {
		return err
	}
	var age float64
	doc := peersDocument{V: 1, Type: "peers", Saved: time.Now().UTC(), Age: &age, Peers: []peerRow{}}
	for _, p := range peers {
		row := peerRow{Address: p.Addr.String(), FirstHeard: moment(p.FirstHeard), LastHeard: moment(p.LastHeard), Proven: &p.Proven, Given: p.Given, Banned: p.Banned}
		if p.RTT > 0 {
			ms := milliseconds(time.Duration(p.RTT * float64(time.Second)))
			row.RTT = &ms
		}
		doc.Peers = append(doc.Peers, row)
	}
	sortPeers(doc.Peers, o.sort)
	if o.json {
		writeEvent(s.out, doc)
		return nil
	}
	if !o.quiet {
		fmt.Fprintf(s.err, "%s\n", count(len(doc.Peers), "peer"))
	}
	doc.writeTable(s)
	return nil
}

// bansDocument is the answer to peers bans --json.
type bansDocument struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "bans"
	control.Bans
}

// changePeers adds, removes and bans.
func changePeers(ctx context.Context, o *peersOptions, args []string, s *stdio) error {
	verb, args := args[0], args[1:]
	verbs := []string{"add", "rm", "ban", "unban", "bans"}
	switch {
	case verb == "bans" && len(args) > 0:
		return usagef("peers bans takes no arguments")
	case verb == "bans":
	case verb != "add" && verb != "rm" && verb != "ban" && verb != "unban":
		hint := "; want add, rm, ban, unban or bans"
		if meant := nearest(verb, verbs); meant != "" {
			hint = fmt.Sprintf("; did you mean %s?", meant)
		}
		return usagef("peers cannot %q%s", shorten(verb, 40), hint)
	case len(args) == 0:
		return usagef("peers %s needs an address", verb)
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	var addrs []netip.AddrPort
	var nets []netip.Prefix
	var keys []string
	for _, a := range args {
		if verb == "add" || verb == "rm" {
			found, err := resolve(ctx, scr, a)
			if err != nil {
				return err
			}
			addrs = append(addrs, found...)
			continue
		}
		if h, err := chunk.ParseHash(strings.TrimPrefix(a, "0x")); err == nil {
			keys = append(keys, "key/"+h.String())
			continue
		}
		net, err := parseNet(a)
		if err != nil {
			return err
		}
		nets = append(nets, net)
	}
	c, err := o.mustReach(ctx, s)
	if err != nil {
		return err
	}
	defer c.Close()
	switch verb {
	case "add":
		err = c.AddPeers(ctx, addrs)
	case "rm":
		for _, a := range addrs {
			err = errors.Join(err, c.RemovePeer(ctx, a))
		}
	case "ban":
		for _, n := range nets {
			err = errors.Join(err, c.Ban(ctx, n))
		}
		for _, k := range keys {
			err = errors.Join(err, c.AddDenial(ctx, control.Denial{Entry: k, Reason: "banned by hand"}))
		}
	case "unban":
		for _, n := range nets {
			err = errors.Join(err, c.Unban(ctx, n))
		}
		for _, k := range keys {
			err = errors.Join(err, c.RemoveDenial(ctx, k))
		}
	}
	if errors.Is(err, control.ErrUnknown) {
		return &codedError{exitNotFound, fmt.Errorf("%w. sharer peers bans lists what was added and banned", err)}
	}
	if err != nil {
		return unknownItem(err)
	}
	bans, err := c.Bans(ctx)
	switch {
	case err != nil:
		return err
	case o.json:
		scr.event(bansDocument{1, "bans", bans})
	case verb == "bans":
		for _, n := range bans.Nets {
			scr.result("banned " + n.String())
		}
		for _, p := range bans.Peers {
			scr.result("added " + p.String())
		}
	}
	return nil
}

// parseNet reads an address or a network.
func parseNet(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return netip.Prefix{}, usagef("%q: a ban holds for a whole address; leave :%d away", text, ap.Port())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, usagef("%q: want an address or a network, such as 192.0.2.7 or 192.0.2.0/24", shorten(text, 80))
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, usagef("%q: write it as an IPv4 network", text)
	}
	return p.Masked(), nil
}
