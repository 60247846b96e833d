package transfer

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// maxAnswer is the most content that one datagram carries, to those who ask for
// so much: the best-known node's figure (wire.md section 5), which nodes with
// blocks of 40960 bytes rely on.
const maxAnswer = 40960

// Source finds contents that may be served.
type Source interface {
	// Find returns the content of an id, tree files included, or false.
	Find(id chunk.ID) (Content, bool)
}

// Content is something that can be served. Safe for concurrent use.
type Content interface {
	Size() int64 // bytes, -1 while it is not known
	// ReadAt reads verified bytes only; it withholds bytes that may not be the
	// content any more.
	ReadAt(p []byte, off int64) (int, error)
	// Have returns at most n of the byte ranges that are there, those that end after off
	// first, around the end; nil: everything.
	Have(off int64, n int) []chunk.Range
	// BLAKE3 is the BLAKE3 of the whole, if it is known.
	BLAKE3() (h chunk.Hash, ok bool)
}

// What an answer tells of what else its sender holds: one range, around what was asked,
// and once a second to each peer as many as a message may have (wire.md section 12). A
// peer that is told everything each time pays 6 % of its link for that, so at a third of a second
// and 1 Mbit/s 2 %.
const (
	maxHave   = 16
	tellEvery = 300 * time.Millisecond
)

// Holders remembers who asked for what: they will soon have some.
type Holders interface {
	Asked(id chunk.ID, addr netip.AddrPort, now time.Time)
	// Tell returns at most n holders of id that may be told to the peer at to.
	Tell(id chunk.ID, to netip.AddrPort, n int, now time.Time) []netip.AddrPort
}

// UploadConfig is what uploads need.
type UploadConfig struct {
	Source  Source
	Holders Holders
	Batch   Batch  // used by one goroutine at a time
	Limit   *Limit // of what leaves, charged by its owner for all that is sent; nil: none

	// InVain is told of requests of proven peers for what is being fetched and not here yet, and must not wait; nil: nobody is.
	InVain func(id chunk.ID, from netip.AddrPort, offset int64)

	// Roomy says whether an answer leaves without waiting for the socket; nil: it always does.
	Roomy func() bool

	// Ping asks an address that was proven whether it is there, and must not wait; nil: nobody is asked.
	Ping func(to netip.AddrPort)
}

// UploadStats counts what uploads did.
type UploadStats struct {
	Asked    int64 // requests for content that is here
	Unknown  int64 // requests for content that is not
	Answered int64
	Bytes    int64 // of content sent
	Again    int64 // requests for what was in the queue already
	Repeated int64 // requests for what the asker was given too often in that second
	Dropped  int64 // requests beyond the bounds of the queues
	Failed   int64 // reads that failed; changed files are among them
	Waited   int64 // reads that were done beside the loop: for a disk, or for a tree that is made again
}

// Uploads answers PleaseSendContent. Requests from proven addresses are queued,
// bounded, and answered in fair turns at the limits' pace, by Run or, where
// it has nothing to do and nothing is limited, where they were read; the
// unproven get at once what their budget allows.
type Uploads struct {
	cfg     UploadConfig
	wake    chan struct{}
	left    chan struct{} // closed when Run has said that it leaves
	loop    sync.Mutex    // whoever has it answers: Run, or the receive path for one request
	memory  *answerer     // of the loop, nil: Run does not run
	looks   time.Time     // of the loop: Run looks then whether those who asked steadily have fallen silent
	serving *upPeer       // of the loop: whose answers are in the batch

	asked, unknown, answered, bytes, failed, waited atomic.Int64

	mu    sync.Mutex
	turns *turns
}

// NewUploads returns uploads whose loop is Run.
func NewUploads(c UploadConfig) *Uploads {
	if c.Ping == nil {
		c.Ping = func(netip.AddrPort) {}
	}
	if c.Roomy == nil {
		c.Roomy = func() bool { return true }
	}
	return &Uploads{cfg: c, wake: make(chan struct{}, 1), left: make(chan struct{}), turns: newTurns(c.Limit)}
}

// Register makes the uploads answer to their message.
func (u *Uploads) Register(mux *wire.Mux) {
	mux.Handle(wire.PleaseSendContent{}.Name(), wire.HandlerFunc(u.request))
}

// Stats returns the counts so far.
func (u *Uploads) Stats() UploadStats {
	u.mu.Lock()
	dropped, again, repeated := u.turns.dropped, u.turns.again, u.turns.repeated
	u.mu.Unlock()
	return UploadStats{
		Asked: u.asked.Load(), Unknown: u.unknown.Load(), Answered: u.answered.Load(),
		Bytes: u.bytes.Load(), Failed: u.failed.Load(), Waited: u.waited.Load(), Dropped: dropped, Again: again, Repeated: repeated,
	}
}

// request takes one PleaseSendContent.
func (u *Uploads) request(from wire.Sender, e wire.Element) []wire.Message {
	m, err := wire.ParsePleaseSendContent(e.Payload)
	if err != nil {
		return nil
	}
	id, err := chunk.ParseID(m.ID)
	if err != nil {
		return nil
	}
	now := time.Now()
	c, ok := u.cfg.Source.Find(id)
	if !ok {
		u.unknown.Add(1)
		return u.elsewhere(from, id, nil, now)
	}
	u.asked.Add(1)
	if !from.Proven {
		return u.sample(from, id, c, m)
	}
	u.mu.Lock()
	news := u.turns.push(from.Addr, want{id: id, via: from.Via, content: c, offset: m.Offset, length: min(m.Length, maxAnswer), raw: m.Raw, each: eachOf(m)}, now)
	u.mu.Unlock()
	if news {
		u.cfg.Holders.Asked(contentID(id), from.Addr, now)
	}
	if !u.answerNow(now) {
		select {
		case u.wake <- struct{}{}:
		default: // it is awake
		}
	}
	return nil
}

// noTime has ended: who would have to wait does not, and who asked asks again.
var noTime = func() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}()

// answerNow answers on the receive path what waits, where the loop does nothing: most of what an answer costs on a machine with
// a fast link is waking others for it. It never waits: what a limit holds up, what is not in memory, and what is for a peer to whom answers
// do not leave fast, is left to the loop, and so is all where much waits in the socket already, as a full buffer would be waited for. False: the loop
// has something to do.
func (u *Uploads) answerNow(now time.Time) bool {
	if u.cfg.Limit.On() || !u.loop.TryLock() {
		return false
	}
	defer u.loop.Unlock()
	a := u.memory
	if a == nil {
		return false
	}
	u.mu.Lock()
	first := u.turns.first()
	u.mu.Unlock()
	if first == nil || !first.speed.fast || !u.cfg.Roomy() {
		return false
	}
	u.mu.Lock()
	p, ws, _ := u.turns.next(a.wants[:0], now)
	u.mu.Unlock()
	if p == nil || !a.answer(noTime, p, ws) {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.turns.ring) == 0 && (u.turns.look.IsZero() || !u.looks.IsZero() && !u.turns.look.Before(u.looks))
}

// eachOf is how long the datagrams are in which an answer is wanted, 0: one is.
func eachOf(m wire.PleaseSendContent) int64 {
	if each := max(m.Each, leastEach); m.Each > 0 && each < min(m.Length, maxAnswer) {
		return each
	}
	return 0
}

// contentID is the id of the content that a tree belongs to.
func contentID(id chunk.ID) chunk.ID {
	if id.Kind == chunk.BLAKE3Tree {
		id.Kind = chunk.BLAKE3
	}
	return id
}

// elsewhere names others who may have it, and what is here of it.
func (u *Uploads) elsewhere(from wire.Sender, id chunk.ID, have []chunk.Range, now time.Time) []wire.Message {
	n := 8
	if !from.Proven {
		n = 1
	}
	peers := u.cfg.Holders.Tell(contentID(id), from.Addr, n, now)
	if from.Proven {
		u.cfg.Holders.Asked(contentID(id), from.Addr, now)
	}
	if len(peers) == 0 && have == nil {
		return nil
	}
	return []wire.Message{wire.MaybeTheyHaveSome{ID: []byte(id.String()), Peers: peers, Have: wireRanges(have)}}
}

// sample answers an unproven address with as much as its budget allows; it reads
// a few hundred bytes on the receive path, for which there is no queue that
// would not hold state for strangers.
func (u *Uploads) sample(from wire.Sender, id chunk.ID, c Content, m wire.PleaseSendContent) []wire.Message {
	if id.Kind == chunk.BLAKE3Tree {
		return nil // a lost one is made again, which takes a reading of the whole
	}
	answer := wire.Content{ID: m.ID, Offset: m.Offset, EOF: c.Size(), Have: wireRanges(c.Have(m.Offset, 1)), BLAKE3: hintOf(nil, id, c)}
	spare := from.Room - 1 - len(wire.AppendMessage(nil, answer))
	n := min(m.Length, int64(spare/4*3), chunk.BlockSize)
	if n <= 0 {
		return nil
	}
	data, err := readContent(c, make([]byte, n), m.Offset)
	if err != nil {
		u.failed.Add(1)
		return nil
	}
	answer.Data = data
	u.answered.Add(1)
	u.bytes.Add(int64(len(data)))
	return []wire.Message{answer}
}

// readContent reads what there is at off, which is nothing past the end.
func readContent(c Content, p []byte, off int64) ([]byte, error) {
	return readWith(c, c.ReadAt, p, off)
}

func readWith(c Content, read func([]byte, int64) (int, error), p []byte, off int64) ([]byte, error) {
	if size := c.Size(); size >= 0 {
		p = p[:max(0, min(int64(len(p)), size-off))]
	}
	if len(p) == 0 {
		return p, nil
	}
	n, err := read(p, off)
	if n == len(p) {
		err = nil
	}
	return p[:n], err
}

// Run answers until ctx ends. Then it tells those who have just been asking that nothing is here any more.
func (u *Uploads) Run(ctx context.Context) {
	a := answerer{u: u, buf: make([]byte, turnBytes), wants: make([]want, 0, turnRequests), silent: make([]netip.AddrPort, 0, 16)}
	a.again, _ = u.cfg.Batch.(repeater)
	a.reads.start()
	defer a.reads.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	u.loop.Lock()
	defer u.loop.Unlock()
	u.memory = &a
	defer func() {
		u.memory = nil
		u.sayLeaving(time.Now())
		close(u.left)
	}()
	for {
		now := time.Now()
		u.mu.Lock()
		p, ws, wait := u.turns.next(a.wants[:0], now)
		silent, look := u.turns.silent(a.silent[:0], now)
		u.mu.Unlock()
		for _, to := range silent {
			u.cfg.Ping(to)
		}
		if p != nil {
			if !a.answer(ctx, p, ws) {
				return
			}
			select {
			case j := <-a.reads.done:
				if !a.ready(ctx, j) {
					return
				}
			default:
			}
			continue
		}
		if wait < 0 {
			wait = time.Hour
		}
		if u.looks = look; !look.IsZero() {
			wait = min(wait, look.Sub(now))
		}
		timer.Reset(wait)
		if !u.wait(ctx, timer.C) {
			return
		}
	}
}

// wait lets others be the loop until something is there for it. False: ctx has ended.
func (u *Uploads) wait(ctx context.Context, timer <-chan time.Time) bool {
	u.loop.Unlock()
	select {
	case <-ctx.Done():
		u.loop.Lock()
		return false
	case <-u.wake:
		u.loop.Lock()
	case j := <-u.memory.reads.done:
		u.loop.Lock()
		return u.memory.ready(ctx, j)
	case <-timer:
		u.loop.Lock()
	}
	return true
}

func wireRanges(have []chunk.Range) []wire.Range {
	if have == nil {
		return nil
	}
	out := make([]wire.Range, len(have))
	for i, h := range have {
		out[i] = wire.Range(h)
	}
	return out
}
