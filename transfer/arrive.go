package transfer

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
)

// counter counts what the receive path drops before the loop sees it.
type counter = atomic.Int64

// arrival is one Content or MaybeTheyHaveSome as the loop gets it.
type arrival struct {
	from   netip.AddrPort
	via    uint8
	proven bool
	at     time.Time
	tree   bool
	none   bool // MaybeTheyHaveSome: the peer has not what was asked
	offset int64
	data   *blockBuf // from the pool, nil when n is 0
	n      int
	eof    int64
	have   []chunk.Range // in bytes, nil: not said
}

// blockBuf holds one block, with room for what the padding of its base64 stands
// for: 4096 bytes are 1366 groups of three, two of which are padding.
type blockBuf [chunk.BlockSize + 2]byte

// blockPool recycles the memory in which blocks wait for the loop.
var blockPool = sync.Pool{New: func() any { return new(blockBuf) }}

// arrive takes one answer. Whatever is not an answer to a request that is out,
// from the address that was asked, changes nothing.
func (d *Download) arrive(a arrival) {
	if a.data != nil {
		defer blockPool.Put(a.data)
	}
	s := d.byAddr[a.from]
	if s == nil || s.excluded {
		d.stats.Unrequested++
		return
	}
	if !a.proven && d.cfg.Peers.Proven(a.from) {
		// It returns cookies, and here is none: this may be somebody else's.
		d.stats.Unproven++
		return
	}
	if a.none {
		d.hasNothing(s, a)
		return
	}
	r := request{tree: a.tree, at: a.offset}
	sent, late, ok := s.flights.answer(r)
	if !ok {
		d.stats.Unrequested++
		return
	}
	if late {
		d.stats.Late++
	} else {
		rtt := a.at.Sub(sent)
		s.rtt.Sample(rtt)
		s.window.answer(a.at, sent)
	}
	s.via = a.via
	s.silent, s.nones = 0, 0
	if a.tree {
		d.arriveTree(s, a)
		return
	}
	if !d.believeSize(s, a) {
		d.back(s, r)
		return
	}
	first := !s.answers
	s.answers = true
	s.idle = 0
	s.nextAsk = time.Time{}
	if a.have == nil {
		s.reach = reach{} // Content without have: all of it (wire.md section 12)
	}
	s.setHave(a.have, d.size)
	d.arriveBlock(s, a, r, first)
}

// believeSize notes the size that s claims. False: the answer is of no use.
func (d *Download) believeSize(s *source, a arrival) bool {
	if a.eof >= 0 {
		if a.proven && !s.sworn {
			s.sworn = true
			if s.claim != a.eof {
				s.claim = -1 // what was said without proof may have been somebody else's
			}
		} else if !a.proven && s.sworn && s.claim != a.eof {
			return false
		}
		if a.eof > maxSize || s.claim >= 0 && s.claim != a.eof {
			// No content is so large, and none has two sizes.
			d.exclude(s, a.proven)
			return false
		}
		news := s.claim < 0
		s.claim = a.eof
		if d.proven && s.claim != d.size {
			d.exclude(s, a.proven)
			return false
		}
		if news {
			d.chooseSize(a.at)
		}
	}
	return d.size >= 0
}

// arriveBlock puts a block into its stripe. The first answer of a peer may be
// short without a fault: to the unproven, and because little was asked.
func (d *Download) arriveBlock(s *source, a arrival, r request, first bool) {
	block := a.offset / chunk.BlockSize
	switch {
	case !s.usable(d.size, d.proven) || block >= d.pick.blocks:
		// Said at another size than the one that is being tried.
		d.back(s, r)
	case a.n != d.blockLen(block) && (first || a.offset == s.probe):
		s.probe = -1
		d.back(s, r)
	case a.n != d.blockLen(block):
		d.stats.Short++
		s.short++
		if a.n == 0 && a.have == nil || s.short > shortsLimit {
			d.rest(s, a.at)
		}
		d.back(s, r)
	default:
		s.short = 0
		st := d.pick.arrived(block, a.data[:a.n], s.slot, a.proven)
		if st == nil {
			d.stats.Twice++
			return
		}
		d.stats.Fetched += int64(a.n)
		s.lastGot = a.at
		d.lastGood = a.at
		if st.since == 0 {
			st.since = a.at.UnixNano()
		}
		if st.full() || block == d.pick.urgent {
			d.handIfReady(st)
		}
	}
}

// back gives an unanswered block to whoever comes first.
func (d *Download) back(s *source, r request) {
	if r.tree {
		d.tree.lost(r.at)
		return
	}
	d.pick.lost(r.at/chunk.BlockSize, d.inFlightElsewhere(s, r))
}

func (d *Download) inFlightElsewhere(s *source, r request) bool {
	for _, o := range d.sources {
		if o != s && o.flights.has(r) {
			return true
		}
	}
	return false
}

// hasNothing is told of a MaybeTheyHaveSome. From a peer that sends content too
// it may ride along with that, so only a second one without content between
// counts. Then what was asked of it is asked elsewhere, and it again later.
func (d *Download) hasNothing(s *source, a arrival) {
	s.nones++
	if s.flights.live == 0 || s.answers && s.nones < 2 && a.have == nil {
		return
	}
	s.silent = 0
	d.giveUpFlights(s)
	if a.have == nil {
		d.rest(s, a.at)
		return
	}
	s.answers = true
	s.polled = a.at
	if d.size >= 0 {
		s.setHave(a.have, d.size)
	}
}

// rest leaves a peer alone for a while that has nothing for us now.
func (d *Download) rest(s *source, now time.Time) {
	s.short = 0
	s.current = -1
	s.idle = min(max(2*s.idle, time.Second), 15*time.Second)
	s.nextAsk = now.Add(s.idle)
}

func (d *Download) giveUpFlights(s *source) {
	for _, r := range s.flights.clear() {
		d.back(s, r)
	}
}

// blockLen is the length of a block at the candidate size.
func (d *Download) blockLen(block int64) int {
	return int(min(chunk.BlockSize, d.size-block*chunk.BlockSize))
}

// strike is told that s sent what contradicts the id at the size that s claims
// itself: its own fault, whatever the true size is. sure says that it came with the
// cookie of s; what did not may be somebody else's, and costs s no more than
// this download.
func (d *Download) strike(s *source, sure bool) {
	d.stats.Bad++
	s.bad++
	if sure {
		s.badSure++
	}
	if s.bad >= strikes {
		d.exclude(s, s.badSure >= strikes)
	}
}

// exclude ends a download's dealings with a liar. Only an address that was
// proven loses its standing elsewhere too.
func (d *Download) exclude(s *source, sure bool) {
	if s.excluded {
		return
	}
	s.excluded = true
	d.stats.Excluded++
	if !d.found() {
		d.started = time.Now() // nobody is left: another search
	}
	d.giveUpFlights(s)
	if sure && d.cfg.Peers.Proven(s.addr) {
		d.cfg.Peers.Punish(s.addr)
	}
}

// isNoParent tells an early piece or block from a wrong one.
func isNoParent(err error) bool { return errors.Is(err, chunk.ErrNoParent) }

func isBadTree(err error) bool { return errors.Is(err, chunk.ErrBadTree) }
