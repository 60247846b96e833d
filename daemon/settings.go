package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sharer/control"
	"sharer/limit"
	"sharer/node"
)

// restoreSettings applies what was set in earlier runs.
func (d *Daemon) restoreSettings() {
	d.loadTraffic()
	if text := d.saved.Limits; text != nil {
		table, err := limit.Parse(*text)
		if err != nil {
			d.notes = append(d.notes, fmt.Sprintf("the limits %q that were set cannot be read: %v", *text, err))
		} else {
			d.table = table
		}
	} else {
		d.table = d.startRates()
	}
	d.applyRatesLocked(time.Now())
	if len(d.saved.Bans) > 0 {
		d.Node.Ban(d.saved.Bans)
	}
	d.Node.Give(d.saved.Peers...)
}

// startRates is what the daemon was started with.
func (d *Daemon) startRates() limit.Timetable {
	r := limit.Rates{Up: d.cfg.Node.Up, Down: d.cfg.Node.Down}
	t, err := limit.Parse(r.String())
	if err != nil {
		panic(fmt.Sprintf("daemon: %v is printed as %s, which is no rate: %v", d.cfg.Node, r, err)) // String and Parse are tested to be each other's inverse
	}
	return t
}

func (d *Daemon) applyRatesLocked(now time.Time) (next time.Time) {
	r, next := d.table.At(now)
	r = d.capLocked(now, r)
	d.Node.SetLimits(node.Limits{Up: r.Up, Down: r.Down, UpPerPeer: d.cfg.Node.UpPerPeer, DownPerPeer: d.cfg.Node.DownPerPeer})
	return next
}

// keepRates changes the limits when the timetable says so. The clock on the wall may be set: it is looked at each minute.
func (d *Daemon) keepRates() {
	for {
		d.mu.Lock()
		now := time.Now()
		next := d.applyRatesLocked(now)
		d.mu.Unlock()
		wait := time.Hour
		if !next.IsZero() {
			wait = min(max(next.Sub(now), 0)+time.Millisecond, time.Minute)
		}
		if d.cfg.Cap != (limit.Cap{}) {
			wait = min(wait, capLook)
		}
		timer := time.NewTimer(wait)
		select {
		case <-d.ctx.Done():
			timer.Stop()
			return
		case <-d.rates:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Limits are the rates that hold.
func (d *Daemon) Limits() control.Limits {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limitsLocked()
}

func (d *Daemon) limitsLocked() control.Limits {
	now := time.Now()
	r, next := d.table.At(now)
	l := control.Limits{Now: d.cfg.Cap.Rates(d.traffic.spent, r, d.cfg.CapThen), Text: r.String(), Next: next, Cap: d.capUseLocked()}
	if d.saved.Limits != nil {
		l.Text, l.Set = *d.saved.Limits, true
	}
	if !next.IsZero() {
		l.Then, _ = d.table.At(next)
	}
	return l
}

// SetLimits changes them, from now on and after a restart.
func (d *Daemon) SetLimits(text string) (control.Limits, error) {
	var table limit.Timetable
	if text != "default" {
		var err error
		if table, err = limit.Parse(text); err != nil {
			return control.Limits{}, fmt.Errorf("%w: %w", control.ErrBad, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.saved.Limits
	if d.saved.Limits = &text; text == "default" {
		d.saved.Limits, table = nil, d.startRates()
	}
	if err := d.saveLocked(); err != nil {
		d.saved.Limits = old
		return control.Limits{}, err
	}
	d.table = table
	d.applyRatesLocked(time.Now())
	select {
	case d.rates <- struct{}{}:
	default:
	}
	d.log.Info("limits", "set", text)
	return d.limitsLocked(), nil
}

// PeerTable lists who the node knows.
func (d *Daemon) PeerTable() []control.Peer {
	var out []control.Peer
	for _, p := range d.Peers() {
		out = append(out, control.Peer{Addr: p.Addr, RTT: p.RTT.Seconds(), FirstHeard: p.FirstHeard, LastHeard: p.LastHeard, Proven: p.Proven, Given: p.Given, Banned: p.Banned})
	}
	return out
}

// maxPeers bounds what the user adds by hand.
const maxPeers = 1000

// AddPeers has addresses asked for ever, also after a restart.
func (d *Daemon) AddPeers(addrs []netip.AddrPort) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := slices.Clone(d.saved.Peers)
	for _, a := range addrs {
		if !slices.Contains(d.saved.Peers, a) {
			d.saved.Peers = append(d.saved.Peers, a)
		}
	}
	if len(d.saved.Peers) > maxPeers {
		d.saved.Peers = old
		return fmt.Errorf("%w: more than %d peers", control.ErrBad, maxPeers)
	}
	if err := d.saveLocked(); err != nil {
		d.saved.Peers = old
		return err
	}
	d.Node.Give(addrs...)
	return nil
}

// Give has addresses that a command names tried as those that were added are, for a while.
func (d *Daemon) Give(addrs ...netip.AddrPort) int { return d.Lend(addrs...) }

// RemovePeer ends that from the next start on; until then the peer is one of those that are met.
func (d *Daemon) RemovePeer(addr netip.AddrPort) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.saved.Peers, addr)
	if i < 0 {
		return fmt.Errorf("%s: %w", addr, control.ErrUnknown)
	}
	d.saved.Peers = slices.Delete(d.saved.Peers, i, i+1)
	return d.saveLocked()
}

// Bans are what the user has banned.
func (d *Daemon) Bans() control.Bans {
	d.mu.Lock()
	defer d.mu.Unlock()
	return control.Bans{Nets: slices.Clone(d.saved.Bans), Peers: slices.Clone(d.saved.Peers)}
}

// maxBans bounds the list that a person keeps; longer ones come as files of denied things.
const maxBans = 10_000

// Ban has the addresses of a network neither asked nor answered, also after a restart.
func (d *Daemon) Ban(net netip.Prefix) error {
	net = net.Masked()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !net.IsValid():
		return fmt.Errorf("%w: no network", control.ErrBad)
	case slices.Contains(d.saved.Bans, net):
		return nil
	case len(d.saved.Bans) >= maxBans:
		return fmt.Errorf("%w: more than %d bans", control.ErrBad, maxBans)
	}
	d.saved.Bans = append(d.saved.Bans, net)
	if err := d.saveLocked(); err != nil {
		d.saved.Bans = d.saved.Bans[:len(d.saved.Bans)-1]
		return err
	}
	d.Node.Ban(d.saved.Bans)
	d.log.Info("banned", "net", net)
	return nil
}

// Unban ends that.
func (d *Daemon) Unban(net netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.saved.Bans, net.Masked())
	if i < 0 {
		return fmt.Errorf("%s: %w", net, control.ErrUnknown)
	}
	d.saved.Bans = slices.Delete(d.saved.Bans, i, i+1)
	d.Node.Ban(d.saved.Bans)
	return d.saveLocked()
}

// StartLimits replaces the limits that the daemon was started with, as when the file of settings is read again. They hold
// unless others were set by SetLimits.
func (d *Daemon) StartLimits(l node.Limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cfg.Node.Up, d.cfg.Node.Down, d.cfg.Node.UpPerPeer, d.cfg.Node.DownPerPeer = l.Up, l.Down, l.UpPerPeer, l.DownPerPeer
	if d.saved.Limits == nil {
		d.table = d.startRates()
	}
	d.applyRatesLocked(time.Now())
}
