package swarm

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"sharer/wire"
)

// ErrRefused is what Ping returns when the rules forbid a datagram to that address now.
var ErrRefused = errors.New("swarm: not allowed now")

// Config says how a swarm runs. The zero value knows nobody and keeps nothing.
type Config struct {
	Given     []netip.AddrPort // asked for ever
	Bootstrap []netip.AddrPort // the same, but not in isolated mode
	PeersFile string           // peers.json; empty: none
	ReadOnly  bool             // PeersFile is read, never written
	Isolated  bool             // loopback, LAN and given addresses only; no announcements
	LANPort   uint16           // where announcements go; 0: 24254
	Rand      io.Reader        // secrets and choices; nil: crypto/rand
}

// DefaultPort is the UDP port of the swarm (wire.md section 1).
const DefaultPort = 24254

// Swarm bundles the parts. Its methods are safe for concurrent use.
type Swarm struct {
	Gate    *Gate
	Table   *Table
	Holders *Holders
	Pings   *Pings

	conf  Config
	store *store // nil: none
	batch *Batch // of Run
	keeps pace   // of keepalives; Run's
	gives pace   // of addresses that the user gave; Run's

	mu       sync.Mutex
	rng      *rand.Rand
	list     []ranked // for answers, as the table was at listTime
	listTime time.Time
	version  uint64 // of the table then
}

// New puts a swarm on a Conn and reads PeersFile. It sends nothing: Run does. An unreadable or
// corrupt PeersFile is no error: see Loaded.
func New(conn Conn, c Config) (*Swarm, error) {
	if c.Rand == nil {
		c.Rand = crand.Reader
	}
	if c.LANPort == 0 {
		c.LANPort = DefaultPort
	}
	now := time.Now()
	table, err := NewTable(c.Rand)
	if err != nil {
		return nil, fmt.Errorf("swarm: key of the table: %w", err)
	}
	gate, err := NewGate(GateConfig{Conn: conn, Table: table, Rand: c.Rand, Isolated: c.Isolated})
	if err != nil {
		return nil, err
	}
	var seed [16]byte
	if _, err := io.ReadFull(c.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("swarm: seed: %w", err)
	}
	s := &Swarm{
		Gate: gate, Table: table, Holders: NewHolders(), Pings: NewPings(gate.cookies, now),
		conf: c, batch: gate.NewBatch(),
		rng: rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:8]), binary.BigEndian.Uint64(seed[8:]))),
	}
	s.Give(c.Given...)
	if !c.Isolated {
		s.Give(c.Bootstrap...)
	}
	if c.PeersFile != "" {
		s.store = openStore(c.PeersFile)
		s.Table.restore(s.store.loaded, now, func(a netip.AddrPort) bool {
			return !gate.around.Load().self(a) && (!c.Isolated || gate.Near(a))
		})
	}
	return s, nil
}

// Loaded reports how many peers PeersFile held, and why it could not be used; a file that does
// not exist is no error.
func (s *Swarm) Loaded() (n int, err error) {
	if s.store == nil {
		return 0, nil
	}
	return len(s.store.loaded), s.store.err
}

// Give adds addresses that the user typed: asked for ever, honoured in isolated mode too. Our own
// are left out. It reports how many were taken.
func (s *Swarm) Give(addrs ...netip.AddrPort) (n int) { return s.give(s.Table.Give, addrs) }

// Lend is Give for a while, see Table.Lend.
func (s *Swarm) Lend(addrs ...netip.AddrPort) (n int) { return s.give(s.Table.Lend, addrs) }

func (s *Swarm) give(give func(time.Time, ...netip.AddrPort) int, addrs []netip.AddrPort) (n int) {
	ar := s.Gate.around.Load()
	for _, a := range addrs {
		if !ar.self(Clean(a)) && ar.class(Clean(a)).Unicast() {
			n += give(time.Now(), a)
		}
	}
	return n
}

// Best is Table.Best now, with the swarm's own randomness.
func (s *Swarm) Best(n int) []Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Table.Best(n, time.Now(), s.rng)
}

// Ping sends one ping as a Request; the answer, whose Sent is at, comes to the subscribers of Pings. ErrRefused if
// the rules forbid it now, a *SendError if the socket does.
func (s *Swarm) Ping(to netip.AddrPort, at time.Time) error {
	b := s.Gate.pool.Get().(*Batch)
	defer s.Gate.pool.Put(b)
	buf, ok := b.Open(to, 0, Request)
	if !ok {
		return fmt.Errorf("ping %s: %w", to, ErrRefused)
	}
	buf = wire.AppendMessage(buf, wire.PleaseReturnThisMessage{Value: s.Pings.Token(to, at)})
	b.Close(buf, 0)
	return b.Flush()
}

// stepGap is the least time between two looks at a table of n entries, each of which costs up to
// 100 ns: they take one part in 500 of the time, however fast strangers come. A full table is
// looked at five times a second.
func stepGap(n int) time.Duration {
	return max(20*time.Millisecond, time.Duration(n)*50*time.Microsecond)
}

// Run keeps the swarm alive until ctx ends: given addresses, probes, keepalives, announcements,
// peers.json. It returns the error of the last write of peers.json, if any.
func (s *Swarm) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var announce, look, save time.Time
	save = time.Now().Add(saveEvery)
	for {
		now := time.Now()
		if !now.Before(look) {
			s.Gate.Look()
			look = now.Add(time.Minute)
		}
		if !now.Before(announce) && !s.conf.Isolated {
			s.announce()
			announce = now.Add(time.Minute + s.jitter(5*time.Second))
		}
		if !now.Before(save) {
			_ = s.save(now) // tried again in a minute; the last one counts
			save = now.Add(saveEvery)
		}
		next := s.step(now)
		for _, t := range []time.Time{look, save, announce} {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		n, _ := s.Table.Len()
		gap := stepGap(n)
		timer.Reset(max(next.Sub(now), gap))
		wake := s.Table.wake
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return s.save(time.Now())
			case <-timer.C:
				waiting = false
			case <-wake:
				wake = nil
				timer.Reset(max(gap-time.Since(now), 0))
			}
		}
	}
}

func (s *Swarm) jitter(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.rng.Int64N(int64(d)))
}
