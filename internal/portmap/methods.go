package portmap

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// serverPort is that of PCP and NAT-PMP (RFC 6887 section 19).
const serverPort = 5351

// want is what a gateway is asked for.
type want struct {
	internal netip.AddrPort // own address and port
	external netip.AddrPort // wish: the last grant's, or the port alone
	lease    time.Duration
}

// grant is what a gateway gave.
type grant struct {
	external netip.AddrPort // the address is invalid if the gateway does not know it
	lifetime time.Duration  // 0: until it is removed
	pinhole  string         // UniqueID of WANIPv6FirewallControl
}

// method is one protocol with one gateway. It is used by one goroutine.
type method interface {
	name() string
	// add makes a mapping or renews the old one, whose grant is given (else the zero value).
	add(ctx context.Context, w want, old grant) (grant, error)
	// lost asks in passing whether the gateway has forgotten a mapping, or has another address now.
	lost(ctx context.Context, g grant) bool
	// remove deletes a mapping; with the zero grant one that was perhaps made, for which no answer came.
	remove(ctx context.Context, w want, g grant) error
}

// pcp is PCP.
type pcp struct {
	f     *fence
	nonce nonce
	epoch epochClock
}

func (*pcp) name() string { return "PCP" }

func (p *pcp) request(w want) pcpMap {
	return pcpMap{client: p.f.local, nonce: p.nonce, internal: w.internal.Port(), suggested: w.external, lifetime: w.lease}
}

// exchange sends a request and returns the answer to it.
func (p *pcp) exchange(ctx context.Context, m pcpMap) (r pcpReply, err error) {
	err = p.f.ask(ctx, serverPort, false, [][]byte{m.append(nil)}, func(b []byte) (bool, error) {
		var err error
		if r, err = parsePCP(b); err != nil {
			if errors.Is(err, errOldVersion) {
				return true, err
			}
			return false, nil // not an answer: wait for one
		}
		// A server that cannot read the version answers with no more than a header.
		return r.answers(m) || r.op == opMap && r.result == pcpUnsuppVers, nil
	})
	if err == nil {
		err = r.err()
	}
	return r, err
}

func (p *pcp) add(ctx context.Context, w want, _ grant) (grant, error) {
	r, err := p.exchange(ctx, p.request(w))
	if err != nil {
		return grant{}, err
	}
	p.epoch.observe(r.epoch, time.Now()) // whatever was lost, this mapping is there now
	if r.lifetime == 0 || r.external.Port() == 0 {
		return grant{}, errMalformed
	}
	return grant{external: r.external, lifetime: r.lifetime}, nil
}

// lost sends ANNOUNCE. A server that does not answer it is no reason to do anything.
func (p *pcp) lost(ctx context.Context, _ grant) (lost bool) {
	err := p.f.ask(ctx, serverPort, false, [][]byte{appendAnnounce(nil, p.f.local)}, func(b []byte) (bool, error) {
		r, err := parsePCP(b)
		if err != nil || r.op != opAnnounce || r.result != 0 {
			return false, nil
		}
		lost = p.epoch.observe(r.epoch, time.Now())
		return true, nil
	})
	return err == nil && lost
}

func (p *pcp) remove(ctx context.Context, w want, _ grant) error {
	m := p.request(w)
	m.lifetime, m.suggested = 0, netip.AddrPort{} // section 15.1
	_, err := p.exchange(ctx, m)
	return err
}

// natpmp is NAT-PMP.
type natpmp struct {
	f     *fence
	epoch epochClock
}

func (*natpmp) name() string { return "NAT-PMP" }

// exchange sends a request and returns the answer that match accepts.
func (p *natpmp) exchange(ctx context.Context, request []byte, match func(natpmpReply) bool) (r natpmpReply, err error) {
	err = p.f.ask(ctx, serverPort, false, [][]byte{request}, func(b []byte) (bool, error) {
		var err error
		r, err = parseNATPMP(b)
		return err == nil && r.op == request[1] && (r.result != 0 || match(r)), nil
	})
	if err == nil {
		err = r.err()
	}
	return r, err
}

func (p *natpmp) mapping(ctx context.Context, m natpmpMap) (natpmpReply, error) {
	return p.exchange(ctx, m.append(nil), func(r natpmpReply) bool { return r.internal == m.internal })
}

// address asks for the external address.
func (p *natpmp) address(ctx context.Context) (natpmpReply, error) {
	return p.exchange(ctx, appendExternalAddress(nil), func(natpmpReply) bool { return true })
}

func (p *natpmp) add(ctx context.Context, w want, _ grant) (grant, error) {
	m, err := p.mapping(ctx, natpmpMap{internal: w.internal.Port(), external: w.external.Port(), lifetime: w.lease})
	if err != nil {
		return grant{}, err
	}
	p.epoch.observe(m.epoch, time.Now())
	if m.lifetime == 0 || m.external == 0 {
		return grant{}, errMalformed
	}
	a, err := p.address(ctx)
	if ctx.Err() != nil {
		return grant{}, ctx.Err()
	}
	if err == nil {
		p.epoch.observe(a.epoch, time.Now())
	}
	return grant{external: netip.AddrPortFrom(a.address, m.external), lifetime: m.lifetime}, nil
}

func (p *natpmp) lost(ctx context.Context, g grant) bool {
	a, err := p.address(ctx)
	if err != nil {
		return false
	}
	reset := p.epoch.observe(a.epoch, time.Now())
	return reset || a.address != g.external.Addr()
}

func (p *natpmp) remove(ctx context.Context, w want, _ grant) error {
	_, err := p.mapping(ctx, natpmpMap{internal: w.internal.Port()}) // section 3.4
	return err
}
