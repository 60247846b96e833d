package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sharer/catalog"
	"sharer/chunk"
	"sharer/folder"
	"sharer/node"
	"sharer/seed"
	"sharer/transfer"
)

// What the verbs need of a node, each its part. *node.Node is all of them.
type (
	seeder interface {
		Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error)
		Recommend(id chunk.ID, size int64)
		OfferFolder(f folder.Folder) (chunk.Sums, error)
	}
	getter interface {
		Get(ctx context.Context, g node.Get) (node.Got, error)
		GetNamed(ctx context.Context, name string, g node.Get) (node.Got, error)
	}
	folderGetter interface {
		ReadFolder(ctx context.Context, g node.Get) (folder.Folder, error)
		GetFolder(ctx context.Context, g node.GetFolder) error
	}
	pinger interface {
		Ping(ctx context.Context, addr netip.AddrPort) (node.Pong, error)
	}
	talker interface {
		Chat(ctx context.Context, addr netip.AddrPort, text string) error
		OnChat(f func(node.Chat))
	}
	lister interface {
		Offers(ctx context.Context, only []netip.AddrPort) ([]catalog.Offer, node.Asked, error)
	}
	runner interface {
		Addrs() []netip.AddrPort
		Notes() []string
		io.Closer
	}
	peer interface {
		seeder
		getter
		folderGetter
		pinger
		talker
		lister
		runner
	}
)

// startNode starts the real node.
func startNode(c node.Config) (peer, error) {
	n, err := node.Start(c)
	if err != nil {
		return nil, err // not n: a nil *node.Node in an interface is not nil
	}
	return n, nil
}

// openPeer starts a node as the flags say. owner: this process owns the state
// folder while it runs; others only read what is there.
func openPeer(ctx context.Context, o *options, scr *screen, owner, fsync bool) (peer, error) {
	dir, err := o.stateFolder(scr.s.getenv)
	if err != nil {
		return nil, err
	}
	var given []netip.AddrPort
	for _, text := range o.peers {
		addrs, err := resolve(ctx, scr, text)
		if err != nil {
			return nil, fmt.Errorf("--peer %s: %w", text, err)
		}
		given = append(given, addrs...)
	}
	var congestion transfer.Congestion
	if o.background {
		congestion = transfer.Background
	}
	mapping, err := o.router()
	if err != nil {
		return nil, err
	}
	if mapping != nil {
		mapping.Changed = scr.mapping
	}
	p, err := scr.s.start(node.Config{
		Congestion: congestion, Mapping: mapping,
		Listen: o.listen, Peers: given, StateDir: dir, ReadOnly: !owner, Isolated: o.isolated,
		Up: o.bwlimit.up, UpPerPeer: o.bwlimitPeer.up, Down: o.bwlimit.down, DownPerPeer: o.bwlimitPeer.down, Fsync: fsync, Version: "sharer " + release, Log: o.log(scr),
	})
	if err != nil {
		return nil, err
	}
	for _, n := range p.Notes() {
		scr.detail("%s", n)
	}
	return p, nil
}

// showChats prints the messages that arrive while the node runs.
func showChats(p talker, scr *screen) {
	p.OnChat(func(c node.Chat) {
		if scr.opts.json {
			scr.event(chatEvent{V: 1, Type: "chat", From: c.From.String(), Text: c.Text, Time: c.At})
			return
		}
		const most = 2048 // bytes of a stranger's message that one line may take
		scr.note("%s %s: %s", c.At.Format(time.TimeOnly), c.From, escape(shorten(c.Text, most)))
	})
}

// splitHostPort takes ip:port and host:port apart; the port is a number, not 0.
func splitHostPort(text string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("want HOST:PORT, such as 127.0.0.1:%d", node.DefaultPort)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, errors.New("the port is not a number from 1 to 65535")
	}
	return host, uint16(n), nil
}

const (
	resolveTimeout = 10 * time.Second
	maxAddresses   = 4 // of one name that are used
)

// resolve turns HOST:PORT into addresses; a numeric one needs no look-up.
func resolve(ctx context.Context, scr *screen, text string) ([]netip.AddrPort, error) {
	host, port, err := splitHostPort(text)
	if err != nil {
		return nil, usagef("%q: %v", shorten(text, 80), err)
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	scr.note("looking up %s", escape(host)) // may take seconds
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("cannot look up %s: %w", host, err)
	}
	var addrs []netip.AddrPort
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return addrs, nil
}
