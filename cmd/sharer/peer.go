package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"sharer/catalog"
	"sharer/chunk"
	"sharer/control"
	"sharer/daemon"
	"sharer/folder"
	"sharer/identity"
	"sharer/node"
	"sharer/seed"
	"sharer/transfer"
	"sharer/watch"
)

// What the verbs need of a node, each its part. *node.Node is all of them, and so are *daemon.Daemon, which is a node that keeps
// what it is told, and *control.Client, which is one of another process.
type (
	seeder interface {
		Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error)
		Recommend(id chunk.ID, size int64)
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
		Chat(ctx context.Context, addr netip.AddrPort, text string) (node.Said, error)
		OnChat(f func(node.Chat))
	}
	person interface {
		Key() identity.PublicKey
		Whois(key identity.PublicKey) (identity.Place, bool)
		Find(ctx context.Context, key identity.PublicKey) (identity.Place, error)
		Say(ctx context.Context, to identity.PublicKey, text string) (node.Said, error)
		SayAll(ctx context.Context, group, text string) (node.Said, error)
		Nearest(ctx context.Context, most int) []netip.AddrPort
	}
	resolver interface {
		ResolveAny(ctx context.Context, q node.NameQuery) ([]identity.Record, error)
	}
	// publisher is what those who keep a state folder can do besides.
	publisher interface {
		PublishPath(ctx context.Context, name string, o seed.Options, emit func(seed.Event)) ([]identity.Record, error)
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
		person
		resolver
		lister
		runner
	}
)

var (
	_ publisher = (*daemon.Daemon)(nil)
	_ publisher = (*control.Client)(nil)
)

// abouter says who does the work: a daemon, here or elsewhere.
type abouter interface{ About() control.About }

// startNode starts the real node.
func startNode(c node.Config) (peer, error) {
	n, err := node.Start(c)
	if err != nil {
		return nil, err // not n: a nil *node.Node in an interface is not nil
	}
	return n, nil
}

// startDaemon starts a node that keeps what it is told.
func startDaemon(c daemon.Config) (peer, error) {
	d, err := daemon.Open(c)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// reach finds the daemon of the state folder, as --daemon says; nil: there is none, and none is needed.
func (o *options) reach(ctx context.Context, s *stdio) (*control.Client, error) {
	switch {
	case o.daemon == "never" && o.detach:
		return nil, usagef("-d hands the work to a daemon, and --daemon never asks none")
	case o.daemon == "never":
		return nil, nil
	}
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return nil, err
	}
	c, err := control.Dial(ctx, dir)
	if errors.Is(err, control.ErrNone) && (o.daemon == "require" || o.detach) {
		c, err = starting(ctx, dir)
	}
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, control.ErrNone) && (o.daemon == "require" || o.detach):
		return nil, &codedError{exitDaemon, fmt.Errorf("%w for %s. Start one: sharer daemon", err, dir)}
	case errors.Is(err, control.ErrNone):
		return nil, nil
	case errors.Is(err, control.ErrVersion):
		return nil, &codedError{exitDaemon, fmt.Errorf("%w. Restart it with this version, or use --daemon never", err)}
	case errors.Is(err, fs.ErrPermission):
		return nil, &codedError{exitRefused, fmt.Errorf("%w. Use a --state-dir of your own", err)}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return nil, &codedError{exitDaemon, fmt.Errorf("%w. Restart it, or use --daemon never", err)}
	}
	return nil, err
}

// mustReach finds the daemon, which the verb cannot do without.
func (o *options) mustReach(ctx context.Context, s *stdio) (*control.Client, error) {
	o.daemon = "require"
	return o.reach(ctx, s)
}

// openPeer finds the daemon, or starts a node as the flags say. owner: this process owns the state
// folder while it runs; others only read what is there.
func openPeer(ctx context.Context, o *options, scr *screen, owner, fsync bool) (peer, error) {
	return openWith(ctx, o, scr, owner, func(c *node.Config) error { c.Fsync = fsync; return nil })
}

// openSpeaker is openPeer for what is said in the user's name: whoever is met is told who that is. A state folder that has no
// key yet gets one.
func openSpeaker(ctx context.Context, o *options, scr *screen) (peer, error) {
	return openWith(ctx, o, scr, false, func(c *node.Config) (err error) {
		c.Introduce = true
		c.Identity, err = ownKey(c.StateDir)
		return err
	})
}

// ownKey opens the key of a state folder, and makes it if there is none.
func ownKey(dir string) (*identity.Key, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w; name another with --state-dir", err)
	}
	k, _, err := identity.OpenKey(node.KeyFile(dir), rand.Reader)
	return k, err
}

// openWith is openPeer for a node that is adjusted.
func openWith(ctx context.Context, o *options, scr *screen, owner bool, adjust func(*node.Config) error) (peer, error) {
	given, err := o.given(ctx, scr)
	if err != nil {
		return nil, err
	}
	c, err := o.reach(ctx, scr.s)
	if err != nil {
		return nil, err
	}
	if c != nil {
		return o.handOver(c, scr, given, owner), nil
	}
	config, err := o.nodeConfig(scr, given, owner, false)
	if err == nil {
		err = adjust(&config)
	}
	if err != nil {
		return nil, err
	}
	var p peer
	if owner {
		p, err = scr.s.open(daemon.Config{Node: config, Foreground: "seed", Release: release, Web: o.web(),
			Watch: watch.Options{Off: !o.watch, Rescan: o.rescan}, Changed: scr.changed})
		if locked := (*node.LockedError)(nil); errors.As(err, &locked) && o.daemon != "never" { // by one that was started at the same time
			if c, derr := starting(ctx, config.StateDir); derr == nil {
				return o.handOver(c, scr, given, owner), nil
			}
		}
	} else {
		p, err = scr.s.start(config)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range p.Notes() {
		scr.detail("%s", n)
	}
	o.noteLimits(p, scr)
	return p, nil
}

// handOver lets a daemon do the work, and tells what does not count then.
func (o *options) handOver(c *control.Client, scr *screen, given []netip.AddrPort, owner bool) peer {
	a := c.About()
	scr.detail("done by %s (pid %d)", serving(a), a.PID)
	if flag := scr.s.said("bwlimit", "bwlimit-peer", "background"); flag != "" {
		scr.warn(warningEvent{Message: fmt.Sprintf("--%s does not count: %s does the work, and sharer limit sets its limits; --daemon never does without it", flag, serving(a))})
	}
	settled := []string{"listen", "isolated", "port-mapping", "http-host", "http-origin", "store-quota", "rescan", "min-free", "fsync", "log-format"}
	if owner {
		settled = append(settled, "http") // of a download it is what the daemon has
	}
	if flag := scr.s.said(settled...); flag != "" {
		scr.warn(warningEvent{Message: fmt.Sprintf("--%s does not count: %s does the work, as it was started; --daemon never does without it", flag, serving(a))})
	}
	c.Give(given...)
	return c
}

// noteLimits says that limits which were set in an earlier run go before those that this one was given.
func (o *options) noteLimits(p peer, scr *screen) {
	if k, ok := p.(interface{ Limits() control.Limits }); ok && o.bwlimit != (rateLimit{}) {
		if l := k.Limits(); l.Set {
			scr.warn(warningEvent{Message: fmt.Sprintf("--bwlimit %s does not count, since sharer limit has set %q, for later starts too; sharer limit default ends that", &o.bwlimit, l.Text)})
		}
	}
}

// said is the first of these flags that the command line has, and not the environment or the file of settings, where they are meant for
// the daemon too; "" is none.
func (s *stdio) said(flags ...string) string {
	for _, a := range s.args {
		if a == "--" {
			break
		}
		for _, f := range flags {
			if a == "--"+f || strings.HasPrefix(a, "--"+f+"=") {
				return f
			}
		}
	}
	return ""
}

// serving names what answers the control socket.
func serving(a control.About) string {
	if a.Foreground != "" {
		return "sharer " + a.Foreground
	}
	return "the daemon"
}

// given are the addresses of --peer.
func (o *options) given(ctx context.Context, scr *screen) (given []netip.AddrPort, err error) {
	for _, text := range o.peers {
		addrs, err := resolve(ctx, scr, text)
		if err != nil {
			return nil, fmt.Errorf("--peer %s: %w", text, err)
		}
		given = append(given, addrs...)
	}
	return given, nil
}

// nodeConfig is what the flags say of a node of our own.
func (o *options) nodeConfig(scr *screen, given []netip.AddrPort, owner, fsync bool) (node.Config, error) {
	dir, err := o.stateFolder(scr.s.getenv)
	if err != nil {
		return node.Config{}, err
	}
	mapping, err := o.router()
	if err != nil {
		return node.Config{}, err
	}
	if mapping != nil {
		mapping.Changed = scr.mapping
	}
	var congestion transfer.Congestion
	if o.background {
		congestion = transfer.Background
	}
	return node.Config{
		Congestion: congestion, Mapping: mapping,
		Listen: o.listen, Peers: given, StateDir: dir, ReadOnly: !owner, Isolated: o.isolated,
		Up: o.bwlimit.up, UpPerPeer: o.bwlimitPeer.up, Down: o.bwlimit.down, DownPerPeer: o.bwlimitPeer.down, Fsync: fsync, Version: "sharer " + release, Log: o.log(scr), StoreQuota: int64(o.storeQuota),
	}, nil
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
