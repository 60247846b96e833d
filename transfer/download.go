package transfer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// Why a download ends without its content. The partial file is kept.
var (
	ErrNotFound  = errors.New("transfer: no peer sent any of it")
	ErrStalled   = errors.New("transfer: nothing of use came for too long")
	ErrRunning   = errors.New("transfer: this content is being fetched already")
	ErrIntegrity = errors.New("transfer: what the peers sent is not the content of this id")
)

// HintError ends a download by sha256 before it fetched anything: a peer said which
// BLAKE3 the content has. It is that peer's word, and the sha256 decides in the end.
type HintError struct {
	BLAKE3 chunk.Hash
	From   netip.AddrPort
}

func (e *HintError) Error() string {
	return fmt.Sprintf("transfer: %s says its BLAKE3 is %s", e.From, e.BLAKE3)
}

// Batch is the way out: a datagram is opened for an address, elements are
// appended, it is closed and, with others, flushed. The gate adds cookies and
// refuses what its rules forbid.
type Batch interface {
	Open(to netip.AddrPort, via uint8, why swarm.Reason) (buf []byte, ok bool)
	Close(buf []byte, padTo int) (size int) // of the payload, 0: it does not leave
	// CloseWith is Close with the bytes of a raw answer, which follow the array.
	CloseWith(buf []byte, padTo int, rest []byte) (size int)
	Flush() error
}

// Peers is what the swarm knows of addresses.
type Peers interface {
	// MayRequest says whether a request may go to addr now, or when.
	MayRequest(addr netip.AddrPort, now time.Time) (ok bool, next time.Time)
	// Proven says whether addr has ever returned our cookie.
	Proven(addr netip.AddrPort) bool
	// Answered and Unanswered tell, once a download ends, how an address that was
	// asked did: its smoothed round trip, or that nothing came.
	Answered(addr netip.AddrPort, rtt time.Duration)
	Unanswered(addr netip.AddrPort)
	// Punish is told of an address that was proven and sent what contradicts an id.
	Punish(addr netip.AddrPort)
}

// Config is what a download needs. ID, File, Batch, Peers, Find and Rand are
// necessary; the zero value of everything else works.
type Config struct {
	ID           chunk.ID              // SHA256 or BLAKE3
	Also         chunk.ID              // BLAKE3: the SHA256 of the same content, for peers that know no other; may be invalid
	Refuse       func(chunk.Hash) bool // SHA256: says of a BLAKE3 that a peer tells whether not to end with a HintError for it; nil: never end so
	TreeOnly     bool                  // BLAKE3: fetch the whole tree, and of the content only what proves its size
	File         *chunk.Partial
	Batch        Batch
	Peers        Peers
	Find         func(n int) []netip.AddrPort // at most n addresses that may hold it, best first
	Demand       *Demand                      // of File; nil: nobody reads while it arrives
	Up, Down     *Limit                       // of what leaves and of what arrives; nil: none
	Share        *Limit                       // of what arrives for this download and those that share it, charged by them; nil: none
	Rand         *rand.Rand
	Congestion   Congestion
	FindTimeout  time.Duration
	StallTimeout time.Duration
	Progress     func(Progress) // called from the loop, at most ten times a second
}

// Congestion is how a download finds out how fast each peer may be asked.
type Congestion uint8

// The ways; DESIGN.md compares them.
const (
	Model      Congestion = iota // by a model of the path: its rate and its smallest round trip
	Delay                        // by keeping a small queue at the bottleneck
	Background                   // the same, and giving way to everybody else
)

// newControl is the control for one peer.
func (c Congestion) newControl() control {
	switch c {
	case Delay:
		return newDelay(maxWindow)
	case Background:
		return newBackground(maxWindow)
	}
	return newModel(maxWindow)
}

const (
	defaultFindTimeout  = 60 * time.Second
	defaultStallTimeout = 5 * time.Minute
	progressEvery       = 100 * time.Millisecond
	findEvery           = 2 * time.Second
	flushAfter          = time.Second          // a block waits so long for its stripe at most
	readerPatience      = 5 * time.Millisecond // the same where a reader waits
	proveWithin         = 3 * time.Second      // a size that is not proven by then gives way to another claim
	maxSize             = 1 << 50              // a claim above is a lie
	maxSingleClaim      = 1 << 40              // under sha256 one peer's word alone goes so far
	requestCost         = 256                  // bytes of a request, headers and cookies included: about
	answerOverhead      = 256                  // bytes around the content of an answer, headers included
	unprovenPad         = 1200                 // a first request is as long as RFC 9000 section 14.1 takes for safe, so that the answer may be useful
	lateMemory          = 5 * time.Second
)

// Progress is one look at a download.
type Progress struct {
	Found     bool          // somebody sent some of it
	Verifying bool          // all is there, the whole is being hashed
	Done      int64         // bytes of content verified (sha256: written)
	Total     int64         // -1: not known
	Asked     int           // peers asked
	Sources   int           // peers that sent something of use
	Silent    time.Duration // since the last of it that was of use
}

// Stats counts what a download saw. Blocks unless said otherwise.
type Stats struct {
	Fetched     int64 // bytes of content that were used
	Requests    int64
	Lost        int64 // requests given up
	Late        int64 // answers after giving up
	Twice       int64 // blocks that came again
	Short       int64 // answers that were neither a block nor the tail
	Unrequested int64 // answers that nobody asked for
	Bad         int64 // blocks and pieces of the tree that contradict the id
	Unproven    int64 // answers without the cookie that their sender usually returns
	Overflow    int64 // answers dropped because the loop was behind
	Passes      int64 // times a whole sha256 content was hashed
	Excluded    int64 // peers that lied
	Asked       int64 // peers asked
	Direct      int64 // answers that the receive path took itself
	Unsent      int64 // batches that the socket did not take whole
}

// Download fetches one content. Whoever is its loop owns everything below the counters.
type Download struct {
	cfg    Config
	limits limits
	inbox  *inbox
	aside  *inbox // what only run takes, while others may be the loop
	hints  chan hint
	gained chan netip.AddrPort
	vain   chan vain
	looks  chan chan<- Look // each has room for its answer
	ended  chan struct{}    // closed when the loop has ended
	gone   chan struct{}    // closed when another download of this id may run
	jobs   chan job
	wrote  chan *outcome
	direct atomic.Bool // others than run may be the loop; set by the loop
	wanted atomic.Bool // run wants to be the loop
	loop   sync.Mutex  // whoever has it is the loop: see direct.go
	share  func() int  // how many bytes of answers may be in flight, of all downloads' budget
	over   counter
	strays counter

	sources   []*source
	byAddr    map[netip.AddrPort]*source
	pick      picker
	ahead     []int64 // scratch of wantPaths
	tree      treeFetch
	stalled   map[int64]int // how often each claimed size led nowhere
	size      int64         // the candidate, -1: none
	sizeSet   time.Time
	proven    bool
	crowd     crowd
	speed     speed
	vains     vains
	wholeTree bool         // somebody who asked us needs it
	epoch     atomic.Int64 // grows with every start over; outcomes of an earlier one are void. The writer reads it
	handed    int          // jobs whose outcome has not been taken
	resumed   bool         // an earlier run wrote blocks, nobody knows from whom

	hashing    int     // sha256: wholes that the writer has to hash
	mismatched bool    // sha256: a whole was wrong
	only       *source // sha256: after that the whole is asked of one peer
	onlySince  time.Time

	armed        time.Time // run wakes then
	taking       bool      // the receive path is the loop
	unchecked    []*stripe // that have come far enough meanwhile to be checked, if their leaves are there
	lump         lump      // taken from the inbox, up to next
	next         int
	besides      lump     // taken from what was put aside
	pieces       [][]byte // scratch of arrive
	asking       asking
	contID       []byte
	alsoID       []byte // nil: none
	treeID       []byte
	handle       wire.Handle
	started      time.Time
	lastGood     time.Time
	lastFind     time.Time
	lastTold     time.Time
	stopLim      time.Time // the limiter says: not before
	wake         time.Time // a pacer says: again then; zero: none
	turn         int
	turns        int           // choices of what to ask
	quick        bool          // somebody who is not slow has all of the tree
	left         time.Duration // what the fast peers that have everything take for what is left, 0: not known
	contradicted bool          // a peer that was asked by the other hash sent something else
	moved        int           // addresses taken from answers that nobody was asked for
	stats        Stats
	err          error
}

// newDownload prepares a download; Downloads.Run starts it.
func newDownload(c Config, share func() int) *Download {
	if c.FindTimeout <= 0 {
		c.FindTimeout = defaultFindTimeout
	}
	if c.StallTimeout <= 0 {
		c.StallTimeout = defaultStallTimeout
	}
	d := &Download{
		cfg:     c,
		limits:  limits{up: c.Up, down: c.Down, share: c.Share},
		share:   share,
		inbox:   newInbox(),
		aside:   newInbox(),
		hints:   make(chan hint, 16),
		gained:  make(chan netip.AddrPort, 64),
		vain:    make(chan vain, 16),
		looks:   make(chan chan<- Look),
		ended:   make(chan struct{}),
		gone:    make(chan struct{}),
		jobs:    make(chan job, maxStripes+readerStripes+1), // a stripe is queued once at most, and the whole
		wrote:   make(chan *outcome, maxStripes+readerStripes+1),
		byAddr:  make(map[netip.AddrPort]*source),
		stalled: make(map[int64]int),
		size:    -1,
		contID:  []byte(c.ID.String()),
		pick:    picker{rng: c.Rand},
	}
	if c.ID.Kind == chunk.BLAKE3 {
		d.treeID = []byte(chunk.ID{Kind: chunk.BLAKE3Tree, Hash: c.ID.Hash}.String())
	}
	return d
}

// report tells the swarm how those who were asked did.
func (d *Download) report() {
	for _, s := range d.sources {
		switch {
		case s.excluded || s.lastSent.IsZero():
		case s.rtt.Smoothed() > 0:
			d.cfg.Peers.Answered(s.addr, s.rtt.Smoothed())
		default:
			d.cfg.Peers.Unanswered(s.addr)
		}
	}
}

// complete says whether all is there and verified.
func (d *Download) complete() bool {
	if d.size < 0 || d.err != nil {
		return false
	}
	if d.cfg.TreeOnly {
		return d.proven && d.tree.complete(d.cfg.File.Tree())
	}
	if d.pick.remaining() > 0 {
		return false
	}
	return d.proven && len(d.tree.early) == 0 // others are given the tree as it is here
}

// tell reports progress, at most ten times a second unless forced.
func (d *Download) tell(now time.Time, force bool) {
	if d.cfg.Progress == nil || !force && now.Sub(d.lastTold) < progressEvery {
		return
	}
	d.lastTold = now
	p := Progress{Total: -1, Asked: len(d.sources), Found: d.found(), Silent: now.Sub(d.lastGood)}
	for _, s := range d.sources {
		if !s.lastGot.IsZero() {
			p.Sources++
		}
	}
	if d.size >= 0 && (d.proven || d.cfg.ID.Kind == chunk.SHA256) {
		p.Total = d.size
	}
	p.Done = d.cfg.File.DoneBytes()
	p.Verifying = d.cfg.ID.Kind == chunk.SHA256 && d.size >= 0 && d.pick.remaining() == 0
	d.cfg.Progress(p)
}

// found says whether anybody has sent some of it.
func (d *Download) found() bool {
	for _, s := range d.sources {
		if s.answers && !s.excluded && (!s.also || d.proven) {
			return true
		}
	}
	return false
}

// addSources makes peers of addresses, as many as the bound allows.
func (d *Download) addSources(addrs []netip.AddrPort) {
	for _, a := range addrs {
		if _, ok := d.byAddr[a]; ok {
			continue
		}
		slot := len(d.sources)
		if slot < maxSources {
			d.sources = append(d.sources, nil)
		} else if slot = d.idleSlot(); slot < 0 {
			continue
		} else {
			delete(d.byAddr, d.sources[slot].addr)
		}
		s := newSource(uint8(slot), a, d.cfg.Congestion.newControl())
		d.sources[slot] = s
		d.byAddr[a] = s
		d.stats.Asked++
	}
}

// idleSlot is the slot of a peer that was asked again and again and never answered,
// -1 if there is none: it makes room for another.
func (d *Download) idleSlot() int {
	const patience = 3 * time.Second
	for i, s := range d.sources {
		if !s.answers && !s.excluded && s.gave == 0 && s.flights.live == 0 && s.idle >= patience {
			return i
		}
	}
	return -1
}
