package transfer

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/swarm"
	"sharer/wire"
)

// quickNet is a network of peers that have a content, as a download sees it: what it asks is answered after a round trip, by as many goroutines as it has sockets.
type quickNet struct {
	ds         *Downloads
	data, tree []byte
	id         chunk.Hash
	trip       time.Duration
	loss       float64
	peers      map[netip.AddrPort]*quickPeer
	spoils     map[netip.AddrPort]int // one answer of so many, after the first hundred
	gentle     bool                   // and with bytes of the content, so that nobody is found to lie

	mu   sync.Mutex
	rng  *rand.Rand
	open netip.AddrPort
	wg   sync.WaitGroup
}

type quickPeer struct {
	queue  chan question
	silent int // it says nothing from then on, 0: never
	asked  int
	latest wire.PleaseSendContent
}

type question struct {
	m    wire.PleaseSendContent
	when time.Time
}

func (q *quickNet) Open(to netip.AddrPort, _ uint8, _ swarm.Reason) ([]byte, bool) {
	q.open = to
	return []byte("["), true
}
func (q *quickNet) CloseWith(buf []byte, pad int, _ []byte) int { return q.Close(buf, pad) }
func (q *quickNet) Flush() error                                { return nil }

func (q *quickNet) Close(buf []byte, _ int) int {
	m := questionsIn(buf)[0]
	p := q.peers[q.open]
	q.mu.Lock()
	p.latest = m
	q.mu.Unlock()
	if p.asked++; p.silent == 0 || p.asked < p.silent {
		p.queue <- question{m, time.Now().Add(q.trip)}
	}
	return len(buf)
}

func (q *quickNet) lost() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rng.Float64() < q.loss
}

// run answers what one peer is asked.
func (q *quickNet) run(at netip.AddrPort, p *quickPeer) {
	asked, rng := 0, rand.New(rand.NewPCG(uint64(at.Port()), 3))
	for o := range p.queue {
		time.Sleep(max(time.Until(o.when), time.Duration(o.m.Length)*5)) // a line of 200 MB/s
		m := o.m
		if n := q.spoils[at]; n > 0 && m.Raw != 0 {
			if asked++; asked > 100 && asked%n == 0 {
				for other := range q.peers {
					if other != at {
						q.spoil(rng, at, other, m)
					}
				}
			}
		}
		of, _ := bytesOf(m, q.data, q.tree)
		all := of[m.Offset:min(m.Offset+m.Length, int64(len(of)))]
		from := wire.Sender{Addr: at, Proven: true, At: time.Now()}
		c := wire.Content{For: m.Raw, Offset: m.Offset, EOF: int64(len(of))}
		if m.Raw == 0 {
			answerPlain(q.ds, from, m.ID, c, all)
			continue
		}
		each := int(m.Each)
		if each == 0 {
			each = max(len(all), 1)
		}
		var parts [][]byte
		begin := m.Offset
		give := func() {
			if len(parts) == 0 {
				return
			}
			c.Offset, c.Raw, from.Size = begin, len(parts[0]), len(parts[0])+100
			q.ds.rawContent(from, c, parts[0])
			if len(parts) > 1 {
				q.ds.Sequel(from, c, parts[1:])
			}
			parts = nil
		}
		for at := m.Offset; len(all) > 0; at += int64(each) {
			part := all[:min(each, len(all))]
			all = all[len(part):]
			if q.lost() {
				give()
				continue
			}
			if len(parts) == 0 {
				begin = at
			} else if len(part) < each {
				give()
				begin = at
			}
			parts = append(parts, part)
		}
		give()
	}
}

// fetch fetches the content; use reads meanwhile, if it is not nil.
func (q *quickNet) fetch(t *testing.T, c Config, use func(context.Context, *Demand)) (Stats, time.Duration, error) {
	t.Helper()
	q.ds = NewDownloads(4 << 20)
	target := t.TempDir() + "/x"
	id := chunk.ID{Kind: chunk.BLAKE3, Hash: q.id}
	file, err := chunk.OpenPartial(target, id, chunk.PartialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var addrs []netip.AddrPort
	for at, p := range q.peers {
		p.queue = make(chan question, 1<<16)
		addrs = append(addrs, at)
		q.wg.Go(func() { q.run(at, p) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.ID, c.File, c.Batch, c.Rand = id, file, q, rand.New(rand.NewPCG(1, 2))
	if c.Peers == nil {
		c.Peers = nobody{}
	}
	c.Find = func(int) []netip.AddrPort { return addrs }
	var readers sync.WaitGroup
	if use != nil {
		c.Demand = NewDemand(file)
		readers.Go(func() { use(ctx, c.Demand) })
	}
	begun := time.Now()
	stats, err := q.ds.Run(ctx, c)
	took := time.Since(begun)
	if c.Demand != nil {
		c.Demand.End(err)
	}
	readers.Wait()
	cancel()
	for _, p := range q.peers {
		close(p.queue)
	}
	q.wg.Wait()
	if err == nil {
		got, err := os.ReadFile(chunk.PartName(target))
		if err != nil || !bytes.Equal(got, q.data) {
			t.Errorf("another content, %v", err)
		}
	}
	return stats, took, err
}

var quick struct {
	once       sync.Once
	data, tree []byte
	id         chunk.Hash
}

func newQuick(t *testing.T, seed uint64, addrs ...string) *quickNet {
	t.Helper()
	quick.once.Do(func() {
		quick.data = make([]byte, 12<<20+12345)
		rand.NewChaCha8([32]byte{1}).Read(quick.data)
		tree := memoryFile{}
		sums, err := chunk.Sum(context.Background(), bytes.NewReader(quick.data), int64(len(quick.data)), &tree, nil)
		if err != nil {
			panic(err)
		}
		quick.tree, quick.id = tree.bytes, sums.BLAKE3
	})
	q := &quickNet{data: quick.data, tree: quick.tree, id: quick.id, trip: 500 * time.Microsecond, peers: map[netip.AddrPort]*quickPeer{}, rng: rand.New(rand.NewPCG(seed, 1))}
	for _, a := range addrs {
		q.peers[netip.MustParseAddrPort(a)] = &quickPeer{}
	}
	return q
}

// A fast download leaves nothing undone until a timer: it takes the time that the lines take, with one peer and with two, with a reader
// that jumps about, and with losses a round trip or a timeout more; a limit that is switched on holds, and no longer than it is on.
func TestTimeOfFastDownload(t *testing.T) {
	one, two := []string{"192.0.2.1:9"}, []string{"192.0.2.1:9", "192.0.2.2:9"}
	near := []string{"127.0.0.1:9"}
	for _, tc := range []struct {
		name   string
		peers  []string
		loss   float64
		limit  bool
		silent int // so much is the last peer asked until it says nothing more
		reader bool
		most   time.Duration
	}{
		{name: "one", peers: one, most: 72 * time.Millisecond},
		{name: "near", peers: near, most: 72 * time.Millisecond},
		{name: "two", peers: two, most: 38 * time.Millisecond},
		{name: "lossy", peers: one, loss: 0.005, most: 280 * time.Millisecond},
		{name: "reader", peers: one, reader: true, most: 72 * time.Millisecond},
		{name: "silent", peers: two, silent: 200, most: 280 * time.Millisecond},
		{name: "limited", peers: two, limit: true, most: 1100 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQuick(t, 1, tc.peers...)
				q.loss = tc.loss
				q.peers[netip.MustParseAddrPort(tc.peers[len(tc.peers)-1])].silent = tc.silent
				c := Config{}
				var use func(context.Context, *Demand)
				if tc.reader {
					use = func(ctx context.Context, d *Demand) { q.jump(ctx, t, d) }
				}
				if tc.limit {
					c.Down = NewLimit(true)
					go func() {
						time.Sleep(10 * time.Millisecond)
						c.Down.Set(time.Now(), 4e6, 0)
						time.Sleep(time.Second)
						c.Down.Set(time.Now(), 0, 0)
					}()
				}
				stats, took, err := q.fetch(t, c, use)
				if err != nil || took > tc.most || stats.Direct < 100 || tc.limit && took < time.Second {
					t.Errorf("%v, %v, %+v", err, took, stats)
				}
			})
		})
	}
}

// jump reads here and there. Nothing that it waits for takes longer than what is under way before it.
func (q *quickNet) jump(ctx context.Context, t *testing.T, d *Demand) {
	r := d.NewReader(ctx)
	defer r.Close()
	size, err := r.Size()
	if err != nil {
		t.Error(err)
		return
	}
	buf := make([]byte, 100_000)
	for range 20 {
		time.Sleep(2 * time.Millisecond)
		q.mu.Lock()
		at := q.rng.Int64N(size - int64(len(buf)))
		q.mu.Unlock()
		begun := time.Now()
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil || !bytes.Equal(buf, q.data[at:][:len(buf)]) {
			t.Errorf("at %d: %v, or another content", at, err)
		}
		if took := time.Since(begun); took > 25*time.Millisecond {
			t.Errorf("at %d: waited for %v", at, took)
		}
	}
}
