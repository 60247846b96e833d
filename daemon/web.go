package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"sharer/chunk"
	"sharer/deny"
	"sharer/gateway"
	"sharer/identity"
	"sharer/node"
	"sharer/store"
)

// Web says where HTTP is answered.
type Web struct {
	Addr     string   // address and port; empty: nowhere
	Optional bool     // a port that is taken is a note, as another node of this machine may have it
	Hosts    []string // further names, with ports: what comes by them counts as remote
	Origins  []string // sites whose pages may use the node, as gateway.Site writes them, beside those that are allowed on the node's page
}

// web is the gateway of a daemon.
type web struct {
	server *gateway.Server
	addr   netip.AddrPort
}

// openWeb opens the gateway.
func (d *Daemon) openWeb() error {
	c := d.cfg.Web
	if c.Addr == "" {
		return nil
	}
	l, err := gateway.Listen(c.Addr)
	if errors.Is(err, syscall.EADDRINUSE) && c.Optional {
		d.notes = append(d.notes, fmt.Sprintf("HTTP: %s is taken, so there is no page of this node; name another address with --http", c.Addr))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; name another address with --http, or --http off", err)
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err == nil {
		err = d.serveWeb(gateway.Config{Addr: addr, Hosts: c.Hosts}, func(g *gateway.Gateway) { d.web.server = gateway.Serve(l, g) })
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d.web.addr = seenHere(addr)
	if !d.web.addr.Addr().IsLoopback() {
		d.notes = append(d.notes, fmt.Sprintf("HTTP: at %s whoever asks gets what is held here, and no more; the page of this node needs an address such as 127.0.0.1 or 0.0.0.0", addr))
	}
	return nil
}

// seenHere is where this machine finds what listens on an address: on all of them it is a client only at loopback, and
// what says "all" is no Host that the gateway answers to.
func seenHere(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}

// serveWeb makes the gateway and starts it.
func (d *Daemon) serveWeb(c gateway.Config, start func(*gateway.Gateway)) error {
	grants, err := d.loadGrants(filepath.Join(d.cfg.Node.StateDir, "pages.json"))
	if err != nil {
		return err
	}
	grants.Trust(d.cfg.Web.Origins...)
	c.Contents, c.Names, c.Uploads, c.Grants, c.Log = contents{d.Node}, &names{n: d.Node}, uploads{d.Node}, grants, d.log
	c.View, c.Ops, c.Mirrors = newView(d), d.ops(), d.mirrorTrees()
	c.Spend = d.spendWeb
	c.Bridge = pages(d.bridge, grants)
	if b := d.Deny(); b != nil {
		c.Deny = denier{b}
	}
	g, err := gateway.New(c)
	if err != nil {
		return err
	}
	start(g)
	return nil
}

// loadGrants reads the permissions of pages. A file that is damaged is no reason to serve nothing: it is set aside, and pages
// have to ask again.
func (d *Daemon) loadGrants(path string) (*gateway.Grants, error) {
	grants, err := gateway.LoadGrants(path)
	if !errors.Is(err, gateway.ErrDamaged) {
		return grants, err
	}
	aside := path + ".bad"
	if err := os.Rename(path, aside); err != nil {
		return nil, err
	}
	d.notes = append(d.notes, "pages.json was damaged: no page may use the node until it is allowed again; the old one is kept as "+aside)
	return gateway.LoadGrants(path)
}

// Web is where HTTP is answered; the zero address: nowhere.
func (d *Daemon) Web() netip.AddrPort { return d.web.addr }

// webError is an error of the node in the gateway's words.
type webError struct{ node, web error }

func (e *webError) Error() string   { return e.node.Error() }
func (e *webError) Unwrap() []error { return []error{e.node, e.web} }

// forWeb says what an error of the node is to the gateway.
func forWeb(err error) error {
	for _, same := range []webError{
		{node.ErrDenied, gateway.ErrDenied}, {node.ErrNotHeld, gateway.ErrNotHeld}, {node.ErrNotFound, gateway.ErrNotFound}, {node.ErrStalled, gateway.ErrNotFound},
		{node.ErrIntegrity, gateway.ErrIntegrity}, {store.ErrQuota, gateway.ErrQuota}, {store.ErrDiskFull, gateway.ErrDiskFull}, {syscall.ENOSPC, gateway.ErrDiskFull},
		{store.ErrNotFound, gateway.ErrNotHeld}, {identity.ErrKey, gateway.ErrBadName}, {identity.ErrName, gateway.ErrBadName},
	} {
		if errors.Is(err, same.node) {
			return &webError{err, same.web}
		}
	}
	return err
}

// contents shows the gateway what the node can read.
type contents struct{ n *node.Node }

var _ gateway.Contents = contents{}

func (c contents) Open(ctx context.Context, w gateway.Want) (gateway.Content, error) {
	r, err := c.n.Open(ctx, openRequest(w))
	if err != nil {
		return nil, forWeb(err)
	}
	return r, nil
}

func openRequest(w gateway.Want) node.OpenRequest {
	return node.OpenRequest{ID: w.ID, Also: w.Also, Name: w.Name, Size: w.Size, Peers: w.Peers, FindTimeout: w.Wait, Held: w.Held}
}

// uploads keeps what is uploaded until somebody removes it.
type uploads struct{ n *node.Node }

var _ gateway.Uploads = uploads{}

func (u uploads) Put(ctx context.Context, name string, r io.Reader) (chunk.Sums, error) {
	sums, err := u.n.Keep(ctx, name, r)
	return sums, forWeb(err)
}

// denier shows the gateway the deny lists.
type denier struct{ b *deny.Book }

var _ gateway.Deny = denier{}

func (d denier) Denied(id chunk.ID) (gateway.Denied, bool) {
	e, no := d.b.Content(id)
	return gateway.Denied{Legal: e.Legal != "", Reason: e.Reason}, no
}

const (
	nameFresh = 10 * time.Second // how long an answer about a name is given again
	maxFresh  = 256              // names that are remembered so
)

// names shows the gateway what publishers' names stand for.
type names struct {
	n *node.Node

	mu    sync.Mutex
	fresh map[freshKey]freshName
}

type freshKey struct {
	key  identity.PublicKey
	name string
}

type freshName struct {
	named gateway.Named
	until time.Time
}

var _ gateway.Names = (*names)(nil)

// Resolve looks for the name itself, and for a folder of which it is a part.
func (s *names) Resolve(ctx context.Context, key [32]byte, name string, wait time.Duration, held bool) (gateway.Named, error) {
	at := freshKey{key, name}
	s.mu.Lock()
	f, ok := s.fresh[at]
	s.mu.Unlock()
	if ok && time.Now().Before(f.until) {
		return f.named, nil
	}
	name = strings.TrimSuffix(name, "/")
	ask := identity.Candidates(name)
	if len(ask) == 0 {
		return gateway.Named{}, forWeb(cmp.Or(identity.CheckName(name), identity.ErrName))
	}
	var found []identity.Record
	if held {
		for _, r := range s.n.Records() {
			if r.Key == at.key && slices.Contains(ask, r.Path) {
				found = append(found, r)
			}
		}
	} else {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		var err error
		if found, err = s.n.ResolveAny(ctx, node.NameQuery{Key: at.key, Names: ask}); len(found) == 0 {
			return gateway.Named{}, forWeb(err)
		}
	}
	if r, folder, rest, ok := identity.Meant(name, found); ok {
		named := namedBy(r, folder, rest)
		s.remember(at, named)
		return named, nil
	}
	return gateway.Named{}, gateway.ErrNotHeld
}

func namedBy(r identity.Record, folder bool, path string) gateway.Named {
	n := gateway.Named{ID: chunk.ID{Kind: chunk.SHA256, Hash: r.SHA256}, Size: -1, Folder: folder}
	if folder {
		n.Path = strings.TrimSuffix(path, "/")
	}
	if r.BLAKE3 != nil {
		n.ID, n.Also = chunk.ID{Kind: chunk.BLAKE3, Hash: *r.BLAKE3}, n.ID
	}
	return n
}

func (s *names) remember(at freshKey, n gateway.Named) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh == nil || len(s.fresh) >= maxFresh {
		s.fresh = map[freshKey]freshName{}
	}
	s.fresh[at] = freshName{n, time.Now().Add(nameFresh)}
}

// Publish signs a name for what is in the store.
func (s *names) Publish(ctx context.Context, name string, sums chunk.Sums) error {
	_, err := s.n.Publish(ctx, name, sums)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = nil
	return err
}

// freeOn is how many bytes are free on the disk of a folder; 0 where that cannot be told.
func freeOn(s *store.Disk) int64 {
	if s == nil {
		return 0
	}
	free, err := s.Free()
	if err != nil {
		return 0
	}
	return free
}
