// Package portmap keeps a UDP port open at the home router, by PCP (RFC 6887), NAT-PMP (RFC 6886) or
// UPnP (Internet Gateway Device 1 and 2, pinholes of IPv6).
//
// What it promises:
//   - Nothing is sent to any address but the default gateway's, or the one that the user named: no multicast, no
//     redirect, no proxy, wherever answers point. Answers of others are not read.
//   - At most 64 KiB of an HTTP answer are read, for at most 3 s.
//   - It works in the background: whoever starts it never waits, and Close takes a second at most.
//   - A mapping is asked for an hour, renewed after half of it, and removed at the end.
//   - A gateway that refuses or is silent is asked less and less often, each half hour at last.
//
// What it does not: the gateway is believed. One that lies about an address makes the status wrong, and nothing else.
package portmap

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

// Config says what is to be mapped. One of V4 and V6 must be valid for anything to happen.
type Config struct {
	V4, V6  netip.AddrPort // listened on, for each family; an unspecified address stands for all. Invalid: not that family
	Gateway netip.Addr     // zero: the system's default gateway, of each family; else the gateway of its family, and none of the other
	Lease   time.Duration  // asked for; 0: an hour
	Changed func(Status)   // called when a mapping has come, changed or gone, one call at a time for a family; may be nil

	Network Network   // nil: the real one
	Rand    io.Reader // nil: crypto/rand
}

// Status is what became of one family.
type Status struct {
	Internal netip.AddrPort // what is mapped; an unspecified address until a gateway is known
	Gateway  netip.Addr     // zero: none is known
	Protocol string         // "PCP", "NAT-PMP", "UPnP"; empty while there is no mapping
	External netip.AddrPort // the address is invalid if the gateway did not say
	Until    time.Time      // the mapping ends; zero: it is for ever, until removed
	Err      error          // of the last attempt, nil if it was good
}

// Public reports whether the mapping leads out to the world: an external address that is
// private, or shared by a provider (RFC 6598), has another NAT behind it.
func (s Status) Public() bool { return s.Protocol != "" && isPublic(s.External.Addr()) }

// String is the status as one line for people.
func (s Status) String() string {
	port := s.Internal.Port()
	switch {
	case errors.Is(s.Err, errPublic):
		return fmt.Sprintf("port %d needs no mapping: %v", port, s.Err)
	case s.Protocol == "":
		family := "IPv4"
		if s.Internal.Addr().Is6() {
			family = "IPv6"
		}
		return fmt.Sprintf("port %d is not opened by the router for %s: %v", port, family, s.Err)
	case !s.External.Addr().IsValid():
		return fmt.Sprintf("port %d is open at the router as port %d (%s); the router does not know its address", port, s.External.Port(), s.Protocol)
	case !s.Public():
		return fmt.Sprintf("port %d is open at the router as %s (%s), but that address is not public: there is another NAT, and strangers cannot come in", port, s.External, s.Protocol)
	}
	return fmt.Sprintf("port %d is open to the world as %s (%s)", port, s.External, s.Protocol)
}

// notPublic are the IPv4 networks, besides those that netip knows, from which nobody is reached (RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
}

func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Keeper keeps the mappings of one port. Its methods are safe for concurrent use.
type Keeper struct {
	cfg   Config
	lanes []*lane
	stop  context.CancelFunc
	wg    sync.WaitGroup

	randMu sync.Mutex // of cfg.Rand

	mu       sync.Mutex
	statuses []Status // of lanes
}

// Start begins to keep the mappings, in the background.
func Start(c Config) *Keeper {
	if c.Lease == 0 {
		c.Lease = time.Hour
	}
	if c.Network == nil {
		c.Network = system{}
	}
	if c.Rand == nil {
		c.Rand = crand.Reader
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{cfg: c, stop: stop}
	for _, listen := range []netip.AddrPort{c.V4, c.V6} {
		if listen.IsValid() && (!c.Gateway.IsValid() || c.Gateway.Is6() == listen.Addr().Is6()) {
			k.lanes = append(k.lanes, &lane{k: k, index: len(k.lanes), v6: listen.Addr().Is6(), listen: listen, kick: make(chan struct{}, 1)})
			k.statuses = append(k.statuses, Status{Internal: listen, Err: errPending})
		}
	}
	for _, l := range k.lanes {
		k.wg.Go(func() { l.run(ctx) })
	}
	return k
}

// Status returns what has become of each family so far.
func (k *Keeper) Status() []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Status(nil), k.statuses...)
}

// Close removes the mappings and waits for that, a second at most. A gateway that does not
// answer forgets them by itself when their lease is over.
func (k *Keeper) Close() {
	k.stop()
	k.wg.Wait()
}

// set changes the status of a lane and tells of it if people would read something new.
func (k *Keeper) set(i int, s Status) {
	before := k.put(i, s)
	if k.cfg.Changed != nil && s.String() != before.String() {
		k.cfg.Changed(s)
	}
}

// put changes the status of a lane and returns the one before.
func (k *Keeper) put(i int, s Status) (before Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, k.statuses[i] = k.statuses[i], s
	return before
}

// fill draws random bytes.
func (k *Keeper) fill(b []byte) error {
	k.randMu.Lock()
	defer k.randMu.Unlock()
	_, err := io.ReadFull(k.cfg.Rand, b)
	return err
}

// randomPort is one of the dynamic ports (RFC 6335 section 6).
func (k *Keeper) randomPort() uint16 {
	var b [2]byte
	if err := k.fill(b[:]); err != nil {
		return 49152
	}
	return binary.BigEndian.Uint16(b[:]) | 0xC000
}
