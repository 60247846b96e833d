package portmap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	lookEvery    = time.Minute            // between looks whether the gateway or the own address is another
	watchEvery   = 5 * time.Minute        // between questions whether the gateway has lost its state
	firstBackoff = 30 * time.Second       // after a failure; then twice as long each time
	maxBackoff   = 30 * time.Minute       //
	maxLease     = 24 * time.Hour         // that a gateway is believed
	removeTime   = 900 * time.Millisecond // for the removal at the end: Close promises a second
	minRenew     = time.Minute            // between renewals, whatever lease was granted
)

var (
	errPending   = errors.New("the router has not answered yet")
	errNoGateway = errors.New("there is no default gateway")
	errPublic    = errors.New("the own address is public")
	errPrivate6  = errors.New("there is no global IPv6 address")
)

// backoff is the time to wait after so many failures in a row, 1 at least.
func backoff(failures int) time.Duration {
	return min(firstBackoff<<min(failures-1, 16), maxBackoff)
}

// renewAfter is the time after which a mapping is renewed: half of its life, which is asked for anew
// as often if it has no end (routers that lose power forget those too).
func renewAfter(lifetime, asked time.Duration) time.Duration {
	if lifetime == 0 {
		lifetime = asked
	}
	return max(min(lifetime, maxLease)/2, min(minRenew, asked/4))
}

// due reports whether a time has come, by the clock that stands still while the machine sleeps or by
// the one that is set.
func due(at, now time.Time) bool {
	return !now.Before(at) || !now.Round(0).Before(at.Round(0))
}

// site is where we are.
type site struct{ gateway, local netip.Addr }

// lane keeps the mapping of one family. All of it belongs to its goroutine.
type lane struct {
	k      *Keeper
	index  int
	v6     bool
	listen netip.AddrPort
	kick   chan struct{} // of capacity 1: the gateway has lost its state, look now

	nonce    nonce
	site     site
	methods  []method
	held     *held
	silent   *held  // one without end whose router did not answer when it was renewed: to be removed at the end
	asking   method // an add that has not been answered
	failures int
	next     time.Time // no attempt before
	watch    time.Time // no question before
}

// held is a mapping that we have.
type held struct {
	by         method
	grant      grant
	renew, end time.Time // end is zero for one that has none
}

func (l *lane) run(ctx context.Context) {
	defer l.remove()
	for ctx.Err() == nil { // a step after the end would forget what was asked for
		wait := time.NewTimer(time.Until(l.step(ctx)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		case <-l.kick:
			wait.Stop()
			if l.held != nil {
				l.held.renew = time.Now()
			}
			l.next = time.Now()
		}
	}
}

// step does what is due and returns when to come again.
func (l *lane) step(ctx context.Context) time.Time {
	now := time.Now()
	here, err := l.look()
	if here != l.site {
		// What is held elsewhere cannot be removed from here; it ends with its lease.
		l.site, l.methods, l.held, l.silent, l.failures, l.next = here, nil, nil, nil, 0, now
	}
	if err == nil && l.methods == nil {
		err = l.arrive()
	}
	if err != nil {
		l.set(err)
		return now.Add(lookEvery)
	}
	if h := l.held; h != nil && !due(h.renew, now) && due(l.watch, now) {
		l.watch = now.Add(watchEvery)
		if h.by.lost(ctx, h.grant) {
			h.renew, l.next = now, now
			l.kickOthers()
		}
	}
	if (l.held == nil || due(l.held.renew, now)) && due(l.next, now) {
		l.try(ctx)
	}
	return l.soonest(now)
}

// soonest is when something is due, a look at where we are at the latest.
func (l *lane) soonest(now time.Time) time.Time {
	times := []time.Time{now.Add(lookEvery)}
	if l.held == nil || due(l.held.renew, now) {
		times = append(times, l.next) // the next attempt; until then nobody asks whether the state is lost
	} else {
		times = append(times, l.watch, l.held.renew)
	}
	return slices.MinFunc(times, time.Time.Compare)
}

// look finds out where we are.
func (l *lane) look() (s site, err error) {
	if s.gateway = l.k.cfg.Gateway; !s.gateway.IsValid() {
		s.gateway, err = l.k.cfg.Network.Gateway(l.v6)
	}
	if err != nil || !s.gateway.IsValid() {
		return site{}, cmp.Or(err, errNoGateway)
	}
	if s.local = l.listen.Addr(); s.local.IsUnspecified() {
		if s.local, err = l.k.cfg.Network.Local(s.gateway); err != nil {
			return site{}, fmt.Errorf("the gateway %s cannot be reached: %w", s.gateway, err)
		}
	}
	switch {
	case !l.v6 && isPublic(s.local):
		return s, errPublic
	case l.v6 && !isPublic(s.local):
		return s, errPrivate6
	}
	return s, nil
}

// arrive makes the methods for a gateway.
func (l *lane) arrive() error {
	f := &fence{net: l.k.cfg.Network, gateway: l.site.gateway, local: l.site.local}
	if l.nonce == (nonce{}) { // for good: the gateway knows us by it, also when we come back
		if err := l.k.fill(l.nonce[:]); err != nil {
			return err
		}
	}
	l.methods = []method{&pcp{f: f, nonce: l.nonce}}
	if !l.v6 {
		l.methods = append(l.methods, &natpmp{f: f})
	}
	l.methods = append(l.methods, newIGD(f, l.k.randomPort))
	return nil
}

// want is what is asked for: the same external port as before, at first that of ours.
func (l *lane) want() want {
	w := want{internal: netip.AddrPortFrom(l.site.local, l.listen.Port()), lease: l.k.cfg.Lease}
	w.external = netip.AddrPortFrom(netip.Addr{}, l.listen.Port())
	if l.held != nil {
		w.external = l.held.grant.external
	}
	return w
}

// try asks the gateway by each protocol until one succeeds, first by the one that did before.
func (l *lane) try(ctx context.Context) {
	order := slices.Clone(l.methods)
	if l.held != nil {
		slices.SortStableFunc(order, func(a, b method) int { return rank(a, l.held.by) - rank(b, l.held.by) })
	}
	var reasons []string
	for _, m := range order {
		var old grant
		if l.held != nil && l.held.by == m {
			old = l.held.grant
		}
		l.asking = m
		got, err := m.add(ctx, l.want(), old)
		if ctx.Err() != nil {
			return // perhaps it was made: remove looks at asking
		}
		l.asking = nil
		now := time.Now()
		if err == nil {
			l.held = &held{by: m, grant: got, renew: now.Add(renewAfter(got.lifetime, l.k.cfg.Lease))}
			if got.lifetime > 0 {
				l.held.end = now.Add(min(got.lifetime, maxLease))
			}
			if l.silent != nil && l.silent.by == m && l.silent.grant.external.Port() == got.external.Port() {
				l.silent = nil // it is ours again
			}
			l.failures, l.next, l.watch = 0, now, now.Add(watchEvery)
			l.set(nil)
			return
		}
		reasons = append(reasons, m.name()+": "+err.Error())
	}
	l.failures++
	l.next = time.Now().Add(backoff(l.failures))
	if l.held != nil && (l.held.end.IsZero() || due(l.held.end, time.Now())) {
		if l.held.end.IsZero() {
			l.silent = l.held
		}
		l.held = nil // over, or the router of a mapping without end does not answer any more
	}
	l.set(errors.New(strings.Join(reasons, "; ")))
}

func rank(m, first method) int {
	if m == first {
		return 0
	}
	return 1
}

// set tells the keeper, and whoever listens, how things are.
func (l *lane) set(err error) { l.k.set(l.index, l.status(err)) }

func (l *lane) status(err error) Status {
	s := Status{Internal: netip.AddrPortFrom(l.listen.Addr(), l.listen.Port()), Gateway: l.site.gateway, Err: err}
	if l.site.local.IsValid() {
		s.Internal = netip.AddrPortFrom(l.site.local, l.listen.Port())
	}
	if h := l.held; h != nil {
		s.Protocol, s.External, s.Until = h.by.name(), h.grant.external, h.end
	}
	return s
}

// kickOthers lets the other families look at once: one router usually serves all.
func (l *lane) kickOthers() {
	for _, o := range l.k.lanes {
		if o != l {
			select {
			case o.kick <- struct{}{}:
			default: // it will look anyway
			}
		}
	}
}

// remove deletes what we have, and what was perhaps made by a request whose answer has not come.
func (l *lane) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	w := l.want()
	if h := l.held; h != nil {
		err := h.by.remove(ctx, w, h.grant)
		l.held = nil
		l.k.put(l.index, l.status(cmp.Or(err, errClosed)))
	}
	if l.silent != nil {
		_ = l.silent.by.remove(ctx, w, l.silent.grant) // as for what follows
	}
	if l.asking != nil {
		// Whether it was made is not known, so neither is whether this means anything.
		_ = l.asking.remove(ctx, w, grant{})
	}
}

var errClosed = errors.New("it was removed")
