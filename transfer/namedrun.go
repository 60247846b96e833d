package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"sharer/swarm"
	"sharer/wire"
)

// NamedConfig is what a download by name needs. Progress may be nil.
type NamedConfig struct {
	Name         string
	File         io.WriterAt
	Batch        Batch
	Peers        Peers
	Find         func(n int) []netip.AddrPort
	FindTimeout  time.Duration
	StallTimeout time.Duration  // 0: 10 s; then another peer that has it takes over
	Progress     func(Progress) // called from the loop, at most ten times a second
}

// Named is a download by name that has ended well.
type Named struct {
	Size  int64
	From  netip.AddrPort // who gave all of it
	Asked int            // peers
}

// ErrTooLong is returned for a content by name of more than MaxNamed.
var ErrTooLong = errors.New("a content by name may have 1 GiB at most: nothing of it can be verified")

const (
	namedPeers = 32
	namedGiver = 10 * time.Second // without a byte, and another peer that has it takes over
	namedTurns = 3                // of each: one that has fallen silent may come back
)

// named is one that runs.
type named struct {
	cfg     NamedConfig
	answers chan namedAnswer
	asked   map[netip.AddrPort]bool
	turns   map[netip.AddrPort]int // of those that were asked for all of it
	givers  []namedGiving          // who has it and was not tried, in the order of their answers
	tooLong bool
}

type namedGiving struct {
	addr netip.AddrPort
	via  uint8
	size int64
}

type namedAnswer struct {
	from   netip.AddrPort
	via    uint8
	offset int64
	eof    int64
	data   []byte
}

// RunNamed fetches a content by its name: unverified, from one peer. ErrNotFound when nobody has
// it, ErrStalled when all who had it went silent, ErrRunning when it runs already.
func (ds *Downloads) RunNamed(ctx context.Context, c NamedConfig) (Named, error) {
	d := &named{cfg: c, answers: make(chan namedAnswer, 4*namedWindow), asked: map[netip.AddrPort]bool{}, turns: map[netip.AddrPort]int{}}
	ds.mu.Lock()
	if ds.named[c.Name] != nil {
		ds.mu.Unlock()
		return Named{}, ErrRunning
	}
	ds.named[c.Name] = d
	ds.mu.Unlock()
	defer func() {
		ds.mu.Lock()
		delete(ds.named, c.Name)
		ds.mu.Unlock()
	}()
	return d.run(ctx)
}

// namedContent hands an answer to the download of that name, if there is one.
func (ds *Downloads) namedContent(from wire.Sender, m wire.Content) {
	ds.mu.RLock()
	d := ds.named[string(m.ID)]
	ds.mu.RUnlock()
	if d == nil || m.EOF < 0 || m.DecodedLen() > namedBlock {
		return
	}
	data, err := m.AppendData(nil)
	if err != nil {
		return
	}
	select {
	case d.answers <- namedAnswer{from.Addr, from.Via, m.Offset, m.EOF, data}:
	default: // as good as lost on the way
	}
}

func (d *named) run(ctx context.Context) (Named, error) {
	stalled := false
	for {
		g, err := d.look(ctx)
		if errors.Is(err, ErrNotFound) && stalled {
			err = ErrStalled
		}
		if err != nil {
			return Named{Asked: len(d.asked)}, err
		}
		err = d.fetch(ctx, g)
		if err == nil {
			return Named{Size: g.size, From: g.addr, Asked: len(d.asked)}, nil
		}
		if !errors.Is(err, ErrStalled) {
			return Named{Asked: len(d.asked)}, err
		}
		stalled = true
	}
}

// look asks everybody for the first block until somebody has it.
func (d *named) look(ctx context.Context) (namedGiving, error) {
	end := time.NewTimer(d.cfg.FindTimeout)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ask := true; ; {
		if len(d.givers) > 0 {
			g := d.givers[0]
			d.givers = d.givers[1:]
			d.turns[g.addr]++
			return g, nil
		}
		if ask { // once a second, however many answers of no use come
			d.askAll()
		}
		if err := d.cfg.Batch.Flush(); err != nil {
			if ctx.Err() != nil {
				return namedGiving{}, ctx.Err()
			}
		}
		d.tell(Progress{Total: -1, Asked: len(d.asked)})
		select {
		case <-ctx.Done():
			return namedGiving{}, ctx.Err()
		case <-end.C:
			if d.tooLong {
				return namedGiving{}, ErrTooLong
			}
			return namedGiving{}, ErrNotFound
		case a := <-d.answers:
			d.found(a)
			ask = false
		case <-tick.C:
			ask = true
		}
	}
}

// askAll asks everybody for the first block.
func (d *named) askAll() {
	for _, a := range d.cfg.Find(namedPeers) {
		if ok, _ := d.cfg.Peers.MayRequest(a, time.Now()); ok {
			d.send(a, 0, piece{0, namedBlock})
			d.asked[a] = true
		}
	}
}

// found notes who has it.
func (d *named) found(a namedAnswer) {
	if !d.asked[a.from] || d.turns[a.from] >= namedTurns || slices.ContainsFunc(d.givers, func(g namedGiving) bool { return g.addr == a.from }) {
		return
	}
	if a.eof > MaxNamed {
		d.tooLong = true
		return
	}
	d.givers = append(d.givers, namedGiving{a.from, a.via, a.eof})
}

// fetch takes everything from one peer: ErrStalled when it goes silent or its content changes.
func (d *named) fetch(ctx context.Context, g namedGiving) error {
	f := newNamedFetch(g.size, time.Now())
	patience := namedGiver
	if d.cfg.StallTimeout > 0 {
		patience = min(patience, d.cfg.StallTimeout)
	}
	var ask []piece
	told := time.Time{}
	for !f.done() {
		now := time.Now()
		if now.Sub(f.got) > patience {
			return fmt.Errorf("%w: %s gave nothing for %v", ErrStalled, g.addr, patience)
		}
		var next time.Time
		ask, next = f.due(now, ask[:0])
		for _, p := range ask {
			d.send(g.addr, g.via, p)
		}
		_ = d.cfg.Batch.Flush() // what is lost is asked for again
		if now.Sub(told) >= progressEvery {
			told = now
			d.tell(Progress{Found: true, Done: f.size - f.left, Total: f.size, Asked: len(d.asked), Sources: 1})
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		case a := <-d.answers:
			timer.Stop()
			if a.from != g.addr {
				d.found(a)
				continue
			}
			if a.eof != g.size {
				return fmt.Errorf("%w: it changed at %s", ErrStalled, g.addr)
			}
			if use := f.answer(time.Now(), a.offset, len(a.data)); use > 0 {
				if _, err := d.cfg.File.WriteAt(a.data[:use], a.offset); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *named) tell(p Progress) {
	if d.cfg.Progress != nil {
		d.cfg.Progress(p)
	}
}

// send queues one request.
func (d *named) send(to netip.AddrPort, via uint8, p piece) {
	buf, ok := d.cfg.Batch.Open(to, via, swarm.Request)
	if !ok {
		return
	}
	pad := 0
	if !d.cfg.Peers.Proven(to) {
		pad = unprovenPad
	}
	d.cfg.Batch.Close(wire.AppendMessage(buf, wire.PleaseSendContent{ID: []byte(d.cfg.Name), Offset: p.off, Length: int64(p.n)}), pad)
}
