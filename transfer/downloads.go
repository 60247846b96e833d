package transfer

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"

	"sharer/chunk"
	"sharer/wire"
)

// Downloads knows the running downloads and hands them what arrives for them.
// Its handlers run on the receive path: they never wait.
type Downloads struct {
	budget int // bytes of answers in flight, all downloads together

	mu      sync.RWMutex
	running map[chunk.Hash]map[chunk.Kind]*Download // by the hash asked; Kind SHA256 or BLAKE3
	named   map[string]*named
	handles map[wire.Handle]*Download // by the first of each one's handles
	manys   map[wire.Handle]*many     // by the upper 16 bits of their handles, which no other has
	count   atomic.Int64
}

// NewDownloads returns a registry. receiveBuffer is what the socket was granted,
// in bytes: answers that are in flight must fit it.
func NewDownloads(receiveBuffer int) *Downloads {
	// A datagram of 5.7 KB takes about 8 KiB of a receive buffer with the
	// kernel's own bookkeeping, one of 1.3 KB 2 KiB.
	budget := min(max(receiveBuffer*2/3, 32*5700), maxWindow)
	return &Downloads{budget: budget, running: make(map[chunk.Hash]map[chunk.Kind]*Download), named: map[string]*named{}, handles: map[wire.Handle]*Download{}, manys: map[wire.Handle]*many{}}
}

// Run fetches one content and returns what was seen when it ends. Only one
// download of an id may run at a time; ErrRunning otherwise.
func (ds *Downloads) Run(ctx context.Context, c Config) (Stats, error) {
	d := newDownload(c, ds.share)
	if !ds.add(d) {
		return Stats{}, ErrRunning
	}
	err := d.run(ctx)
	ds.remove(d)
	d.stats.Overflow = d.over.Load()
	d.stats.Unrequested += d.strays.Load()
	return d.stats, err
}

// share is how many bytes of answers one download may have in flight: an equal part
// of what the receive buffer bears, and never less than keeps it moving.
func (ds *Downloads) share() int {
	return max(ds.budget/int(max(ds.count.Load(), 1)), 8*5700)
}

func (ds *Downloads) add(d *Download) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.running[d.cfg.ID.Hash][d.cfg.ID.Kind] != nil {
		return false
	}
	ds.putLocked(d.cfg.ID, d)
	if also := d.cfg.Also; also.Valid() && ds.running[also.Hash][also.Kind] == nil {
		ds.putLocked(also, d)
		d.alsoID = []byte(also.String())
	}
	for d.handle == 0 || ds.handles[d.handle] != nil || ds.manys[d.handle>>16] != nil {
		d.handle = newHandle(d.cfg.Rand)
	}
	ds.handles[d.handle] = d
	ds.count.Add(1)
	return true
}

func (ds *Downloads) putLocked(id chunk.ID, d *Download) {
	if ds.running[id.Hash] == nil {
		ds.running[id.Hash] = make(map[chunk.Kind]*Download)
	}
	ds.running[id.Hash][id.Kind] = d
}

func (ds *Downloads) remove(d *Download) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, id := range []chunk.ID{d.cfg.ID, d.cfg.Also} {
		byKind := ds.running[id.Hash]
		if byKind[id.Kind] != d {
			continue
		}
		delete(byKind, id.Kind)
		if len(byKind) == 0 {
			delete(ds.running, id.Hash)
		}
	}
	delete(ds.handles, d.handle)
	ds.count.Add(-1)
	close(d.gone)
}

// Await returns when no download of id runs, or with the context's error.
func (ds *Downloads) Await(ctx context.Context, id chunk.ID) error {
	ds.mu.RLock()
	d := ds.running[id.Hash][id.Kind]
	ds.mu.RUnlock()
	if d == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.gone:
		return nil
	}
}

func (ds *Downloads) addMany(m *many) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	taken := func(prefix wire.Handle) bool {
		for h := range ds.handles {
			if h>>16 == prefix {
				return true
			}
		}
		return prefix == 0 || ds.manys[prefix] != nil
	}
	prefix := wire.Handle(0)
	for taken(prefix) {
		prefix = newHandle(m.cfg.Rand) >> 16
	}
	m.prefix = prefix << 16
	ds.manys[prefix] = m
	ds.count.Add(1)
}

func (ds *Downloads) removeMany(m *many) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	delete(ds.manys, m.prefix>>16)
	ds.count.Add(-1)
}

// Gained is told of a peer that has proven its address: every running download asks
// it too. It never waits; a peer that does not fit the queue is found later.
func (ds *Downloads) Gained(addr netip.AddrPort) {
	for _, d := range ds.all() {
		select {
		case d.gained <- addr:
		default:
		}
	}
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	for _, m := range ds.manys {
		select {
		case m.gained <- addr:
		default:
		}
	}
}

// all are the running downloads, each once, in no order.
func (ds *Downloads) all() (running []*Download) {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	for hash, byKind := range ds.running {
		for kind, d := range byKind {
			if (chunk.ID{Kind: kind, Hash: hash}) == d.cfg.ID {
				running = append(running, d)
			}
		}
	}
	return running
}

// find returns the download that a wire id names, and whether it names its tree or
// its content by the other hash.
func (ds *Downloads) find(text []byte) (d *Download, tree, also bool) {
	id, err := chunk.ParseID(text)
	if err != nil {
		return nil, false, false
	}
	kind := id.Kind
	if kind == chunk.BLAKE3Tree {
		kind, tree = chunk.BLAKE3, true
	}
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	d = ds.running[id.Hash][kind]
	return d, tree, d != nil && d.cfg.ID.Kind != kind
}

// Register makes the downloads answer to their messages.
func (ds *Downloads) Register(mux *wire.Mux) {
	mux.Handle(wire.Content{}.Name(), wire.HandlerFunc(ds.content))
	mux.Handle(wire.MaybeTheyHaveSome{}.Name(), wire.HandlerFunc(ds.maybe))
}

// content hands a block to the download that asked for it.
func (ds *Downloads) content(from wire.Sender, e wire.Element) []wire.Message {
	m, err := wire.ParseContent(e.Payload)
	if err != nil {
		return nil
	}
	if m.For != 0 {
		ds.rawContent(from, m, e.Rest)
		return nil
	}
	d, tree, also := ds.find(m.ID)
	if d == nil {
		ds.plainContent(from)
		ds.namedContent(from, m)
		return nil
	}
	a := answered(from, m)
	a.tree, a.also = tree, also
	if m.DecodedLen() > chunk.BlockSize {
		d.strays.Add(1) // no request is longer than a block
	} else if room, fits := d.inbox.putEncoded(&a, &m, chunk.BlockSize); !fits {
		d.strays.Add(1)
	} else if !room {
		d.over.Add(1)
	}
	return nil
}

// answered is what an answer says, its bytes and what it belongs to apart.
func answered(from wire.Sender, m wire.Content) arrival {
	a := arrival{
		from: from.Addr, via: from.Via, proven: from.Proven, at: from.At, size: from.Size,
		offset: m.Offset, eof: m.EOF, have: ranges(m.Have),
	}
	if h, err := chunk.ParseHash(m.BLAKE3); err == nil {
		a.blake3 = h
	}
	return a
}

// maybe hands the news of other holders to the download. Without a Content in the same
// datagram it also says that its sender has not what was asked.
func (ds *Downloads) maybe(from wire.Sender, e wire.Element) []wire.Message {
	m, err := wire.ParseMaybeTheyHaveSome(e.Payload)
	if err != nil {
		return nil
	}
	d, tree, also := ds.find(m.ID)
	if d == nil {
		return nil
	}
	if len(m.Peers) > 0 {
		select {
		case d.hints <- hint{from: from.Addr, proven: from.Proven, peers: m.Peers[:min(len(m.Peers), maxHinted)]}:
		default:
			d.over.Add(1)
		}
	}
	if from.Content && m.Have == nil {
		return nil // it rides along
	}
	d.deliver(&arrival{
		from: from.Addr, via: from.Via, proven: from.Proven, at: from.At,
		tree: tree, also: also, none: true, eof: -1, have: ranges(m.Have),
	}, nil)
	return nil
}

// deliver queues an arrival, or drops it when the loop is behind: what is
// dropped is asked again.
func (d *Download) deliver(a *arrival, data []byte) {
	if !d.boxFor(a).put(a, data) {
		d.over.Add(1)
	}
}

// hint is a list of addresses that may hold the content.
type hint struct {
	from   netip.AddrPort
	proven bool
	peers  []netip.AddrPort
}

const maxHinted = 16 // addresses taken from one MaybeTheyHaveSome

// hinted takes addresses from a peer that was asked about this content.
func (d *Download) hinted(h hint) {
	if s := d.byAddr[h.from]; s == nil || s.excluded || !h.proven && d.cfg.Peers.Proven(h.from) {
		return
	}
	s := d.byAddr[h.from]
	n := min(len(h.peers), maxHeard-s.heard)
	s.heard += n
	d.addSources(h.peers[:n])
}

func ranges(have []wire.Range) []chunk.Range {
	if have == nil {
		return nil
	}
	out := make([]chunk.Range, len(have))
	for i, h := range have {
		out[i] = chunk.Range(h)
	}
	return out
}
