package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"sharer/internal/impair"
	"sharer/internal/netsim"
)

// The namespaces are ours, have no other way out, and are gone afterwards.
const (
	nsServe = "sharer-bench-a"
	nsFetch = "sharer-bench-b"
)

// openNamespaces makes two network namespaces with a link between them: of the kernel (veth), or of internal/impair
// where it has a rate; or one with a loopback alone.
func (p path) openNamespaces(ctx context.Context, loopback bool) (pl place, err error) {
	var undo []func() error
	closeAll := func() (err error) {
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	names := []string{nsServe, nsFetch}
	if loopback {
		names = names[:1]
	}
	for _, ns := range names {
		if err := ip(ctx, "netns", "add", ns); err != nil {
			return place{}, err
		}
		// Also after ctx has ended.
		undo = append(undo, func() error { return ip(context.WithoutCancel(ctx), "netns", "del", ns) })
	}
	in := func(ns string) []string { return []string{"ip", "netns", "exec", ns} }
	if loopback {
		err := ip(ctx, "-n", nsServe, "link", "set", "lo", "up")
		return place{serve: in(nsServe), fetch: in(nsServe), host: "127.0.0.1", close: closeAll}, err
	}
	var heard func(f func())
	if p.rate == 0 {
		err = ip(ctx, "link", "add", "eth0", "netns", nsServe, "type", "veth", "peer", "name", "eth0", "netns", nsFetch)
	} else {
		var bridge *impair.Bridge
		if bridge, err = p.bridge(); err == nil {
			undo = append(undo, bridge.Close)
			heard = func(f func()) { bridge.Tap(impair.Tap{}, impair.Tap{Came: func([]byte) { f() }}) }
		}
	}
	for i, ns := range names {
		err = errors.Join(err, ip(ctx, "-n", ns, "addr", "add", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", "eth0"),
			ip(ctx, "-n", ns, "link", "set", "eth0", "mtu", fmt.Sprint(p.mtu), "up"), ip(ctx, "-n", ns, "link", "set", "lo", "up"))
	}
	if err != nil {
		return place{}, err
	}
	return place{serve: in(nsServe), fetch: in(nsFetch), host: "10.99.0.1", heard: heard, close: closeAll}, nil
}

// bridge is a link of internal/impair between both, with a queue of 100 ms.
func (p path) bridge() (*impair.Bridge, error) {
	a, err := impair.OpenTUN("/run/netns/"+nsServe, "eth0")
	if err != nil {
		return nil, err
	}
	b, err := impair.OpenTUN("/run/netns/"+nsFetch, "eth0")
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	link := netsim.Link{Rate: p.rate, Queue: int(p.rate / 10), Delay: p.rtt / 2, MTU: p.mtu}
	return impair.NewBridge(1, a, b, link, link)
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
