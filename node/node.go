package node

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"sharer/catalog"
	"sharer/chunk"
	"sharer/deny"
	"sharer/identity"
	"sharer/internal/portmap"
	"sharer/internal/udp"
	"sharer/swarm"
	"sharer/talk"
	"sharer/transfer"
	"sharer/wire"
)

// Node is one running peer. Its methods are safe for concurrent use.
type Node struct {
	cfg       Config
	log       *slog.Logger
	conn      swarm.Conn
	swarm     *swarm.Swarm
	mux       *wire.Mux
	downloads *transfer.Downloads
	uploads   *transfer.Uploads
	chat      *talk.Chat
	letters   *letters
	names     *names
	introduce *introductions
	catalog   *catalog.Catalog
	library   *library
	deny      *deny.Book // nil without a state folder
	arrivals  arrivals
	state     *state // nil without a state folder of our own
	up, down  *transfer.Limit
	keeper    *portmap.Keeper // nil: no port mapping
	office    office
	notes     []string
	stop      context.CancelFunc
	unwatch   func()
	unmeet    func()
	ctx       context.Context
	wg        sync.WaitGroup

	mu      sync.Mutex
	rng     *rand.Rand
	show    func(Chat)
	closing bool

	stamped  int64                            // of the last message that was said
	searches map[identity.PublicKey][]*search // of find: as many as run

	talking sync.Mutex
	voice   *swarm.Batch
}

// bootstrap are the swarm's long-lived public nodes (wire.md section 3).
var bootstrap = []netip.AddrPort{
	netip.MustParseAddrPort("148.71.89.128:24254"),
	netip.MustParseAddrPort("159.69.54.127:24254"),
}

// Start opens a node and lets it run. The error is a *LockedError when another
// process owns the state folder.
func Start(c Config) (n *Node, err error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	n = &Node{cfg: c, log: c.Log, mux: wire.NewMux()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if c.StateDir != "" && !c.ReadOnly {
		if n.state, err = openState(c.StateDir); err != nil {
			return nil, err
		}
		st := n.state // n is nil when the deferred function runs after "return nil, err"
		defer func() {
			if err != nil {
				err = errors.Join(err, st.close())
			}
		}()
		if where := n.state.index.Recovered(); where != "" {
			n.notes = append(n.notes, "the index was damaged and is being rebuilt; the old one is kept as "+where)
		}
	}
	if err = n.openConn(); err != nil {
		return nil, err
	}
	secrets := crand.Reader // safe for concurrent use
	if c.Rand == nil {
		c.Rand = crand.Reader
	} else {
		secrets = &locked{r: c.Rand}
		c.Rand = secrets
	}
	var seed [16]byte
	if _, err = io.ReadFull(c.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("node: no randomness: %w", err)
	}
	n.rng = rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
	n.ctx, n.stop = context.WithCancel(context.Background())
	if err = n.assemble(secrets); err != nil {
		n.stop()
		return nil, errors.Join(err, n.conn.Close())
	}
	n.run()
	n.openRouter()
	return n, nil
}

// openConn opens the sockets. When the default port is taken by another node of
// the swarm, any port will do, and that node is simply the first peer.
func (n *Node) openConn() error {
	if n.cfg.Conn != nil {
		n.conn = n.cfg.Conn
		return nil
	}
	listen := n.cfg.Listen
	if len(listen) == 0 {
		listen = []string{fmt.Sprintf(":%d", DefaultPort)}
	}
	conn, err := udp.Listen(listen, udp.Options{})
	if errors.Is(err, syscall.EADDRINUSE) && len(n.cfg.Listen) == 0 {
		first := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), DefaultPort)
		n.cfg.Peers = append([]netip.AddrPort{first}, n.cfg.Peers...)
		n.notes = append(n.notes, fmt.Sprintf("port %d is taken by another node: using any port, with %s as first peer; broadcasts of the LAN are not heard", DefaultPort, first))
		conn, err = udp.Listen([]string{":0"}, udp.Options{})
	}
	if err != nil {
		return err
	}
	n.conn = conn
	return nil
}

// receiveBuffer is what the socket was granted, in bytes.
func (n *Node) receiveBuffer() int {
	if b, ok := n.conn.(interface{ RecvBuffer() int }); ok {
		return b.RecvBuffer()
	}
	return 4 << 20
}

// assemble makes the parts and registers their handlers.
func (n *Node) assemble(random io.Reader) (err error) {
	sc := swarm.Config{Given: n.cfg.Peers, Isolated: n.cfg.Isolated, Rand: random}
	if n.cfg.Conn == nil {
		sc.Bootstrap = bootstrap
	}
	if n.cfg.StateDir != "" {
		sc.PeersFile = filepath.Join(n.cfg.StateDir, "peers.json")
		sc.ReadOnly = n.cfg.ReadOnly
	}
	if n.swarm, err = swarm.New(n.conn, sc); err != nil {
		return err
	}
	if _, err := n.swarm.Loaded(); err != nil {
		n.notes = append(n.notes, err.Error())
	}
	n.openDeny()
	n.library = newLibrary(n.ctx, n.state, n.log)
	n.library.deny = n.deny
	if n.state != nil {
		if err := n.openStore(); err != nil {
			return err
		}
	}
	n.downloads = transfer.NewDownloads(n.receiveBuffer())
	n.up, n.down = transfer.NewLimit(false), transfer.NewLimit(true)
	n.SetLimits(Limits{Up: n.cfg.Up, UpPerPeer: n.cfg.UpPerPeer, Down: n.cfg.Down, DownPerPeer: n.cfg.DownPerPeer})
	n.swarm.Gate.Meter(n.up, n.down)
	answers := n.swarm.Gate.NewBatch()
	uploads := transfer.UploadConfig{
		Source: n.library, Holders: holders{n.swarm.Holders, n.deny}, Batch: answers, Limit: n.up, Ping: pinger{n.swarm}.ping, InVain: n.downloads.AskedInVain,
	}
	if c, ok := n.conn.(interface{ Roomy() bool }); ok {
		uploads.Roomy = c.Roomy
	}
	n.uploads = transfer.NewUploads(uploads)
	answers.Failed = n.uploads.Failed
	n.chat = talk.NewChat(n.cfg.Version)
	n.catalog = catalog.New(func(id chunk.ID, a netip.AddrPort) { n.swarm.Holders.Add(id, a) })
	n.swarm.Register(n.mux)
	n.downloads.Register(n.mux)
	n.uploads.Register(n.mux)
	n.chat.Register(n.mux)
	n.catalog.Register(n.mux)
	n.mux.Handle(wire.PleaseListContent{}.Name(), wire.HandlerFunc(n.library.list))
	n.mux.Handle(wire.Forward{}.Name(), wire.HandlerFunc(n.forward))
	return n.assembleIdentity(random)
}

// run starts the goroutines.
func (n *Node) run() {
	for _, r := range n.conn.Readers() {
		n.wg.Go(func() { n.receive(r) })
	}
	n.wg.Go(func() {
		if err := n.swarm.Run(n.ctx); err != nil {
			n.log.Warn("peers.json could not be kept", "err", err)
		}
	})
	n.wg.Go(func() { n.uploads.Run(n.ctx) })
	n.unwatch = n.swarm.Table.Watch(n.downloads.Gained)
	n.wg.Go(func() { n.chat.Run(n.ctx, n.showChat) })
	n.runIdentity()
}

// Addrs returns the addresses that the node listens on.
func (n *Node) Addrs() []netip.AddrPort { return n.conn.LocalAddrs() }

// Notes returns what a user may want to know of the start, one line each.
func (n *Node) Notes() []string { return n.notes }

// Peers returns a copy of the peer table.
func (n *Node) Peers() []swarm.Peer { return n.swarm.Table.Peers(time.Now()) }

// Stats is one look at what a node has done and keeps.
type Stats struct {
	Gate            swarm.Stats
	Peers, Unproven int // entries of the peer table, and those of them without proof that nobody gave
	Proven          int // those that have proven their address
	Holders         int // contents whose holders are remembered
	Offers          int // contents that peers told of, each peer's counted
	Uploads         transfer.UploadStats
	Downloads       []transfer.Look // those that run
	Letters         Letters
	Names           Names
	Keys, Lives     int // keys that are known, and those of them whose place was proven
}

// Stats returns a copy of all counters.
func (n *Node) Stats() Stats {
	s := Stats{Gate: n.swarm.Gate.Stats(), Holders: n.swarm.Holders.Len(), Uploads: n.uploads.Stats(), Downloads: n.downloads.Looks()}
	s.Peers, s.Unproven = n.swarm.Table.Len()
	_, s.Proven, _ = n.swarm.Table.Sizes()
	_, s.Offers = n.catalog.Sizes()
	s.Letters, s.Names = n.letters.stats(), n.names.stats()
	s.Keys, s.Lives = n.letters.opener.Places.Len()
	return s
}

// Give adds addresses that the user names while the node runs: they are asked for ever, and
// by downloads that run. It reports how many were taken.
func (n *Node) Give(addrs ...netip.AddrPort) int { return n.swarm.Give(addrs...) }

// Lend is Give for a while: those that prove nothing for an hour are forgotten.
func (n *Node) Lend(addrs ...netip.AddrPort) int { return n.swarm.Lend(addrs...) }

// Close stops the node and waits for everything that it started. Downloads that
// run are interrupted; their partial files stay.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closing = true
	n.mu.Unlock()
	n.stop()
	n.sayLeaving()
	n.unwatch()
	n.unmeet()
	if n.keeper != nil {
		n.wg.Go(n.keeper.Close) // a second at most, while the rest ends too
	}
	err := n.conn.Close()
	n.wg.Wait()
	err = errors.Join(err, n.library.close())
	if n.state != nil {
		err = errors.Join(err, n.state.close())
	}
	return err
}

// leavingTime is how long a node that ends waits for what it has to say, which a full buffer of its socket may hold up.
const leavingTime = 100 * time.Millisecond

// sayLeaving waits until those who ask us have been told that we end.
func (n *Node) sayLeaving() {
	timer := time.NewTimer(leavingTime)
	defer timer.Stop()
	select {
	case <-n.uploads.Leaving():
	case <-timer.C:
	}
}

// begin lets an operation start unless the node is closing. Its context ends with
// the node, and Close waits until end is called.
func (n *Node) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return nil, nil, ErrClosed
	}
	n.wg.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(n.ctx, cancel)
	return ctx, func() {
		detach()
		cancel()
		n.wg.Done()
	}, nil
}

// random returns a generator for one owner, drawn from the node's own.
func (n *Node) random() *rand.Rand {
	n.mu.Lock()
	defer n.mu.Unlock()
	return rand.New(rand.NewPCG(n.rng.Uint64(), n.rng.Uint64()))
}
