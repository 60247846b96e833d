package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sharer/bridge"
	"sharer/control"
	"sharer/limit"
	"sharer/metrics"
	"sharer/mirror"
	"sharer/mirror/depot"
	"sharer/node"
	"sharer/seed"
	"sharer/watch"
)

// Config says how a daemon runs. Node.StateDir is needed.
type Config struct {
	Node       node.Config
	Keep       bool     // seeds outlive it, and seeds and jobs of earlier runs go on; false: a command that a person ends at any time
	Foreground string   // that command, for those who ask
	SeedRoots  []string // folders that other users may have seeded
	MinFree    int64    // bytes that downloads leave free on their disk; 0: 1 GiB or 1 % of it, whichever is less; below 0: none
	Release    string
	Web        Web

	MirrorName, MirrorContact string        // who runs the mirrors, for those who ask; may be empty
	MaxLag                    time.Duration // a mirror that is further behind makes the daemon not ready; 0: none does
	Scrub                     mirror.ScrubPace
	MirrorStore               string // the socket of a process that keeps the contents of mirrors, see mirror/depot; empty: they lie in the state folder

	Cap     limit.Cap // what may pass in a month
	CapThen int64     // what may pass when that is used up, as limit.Rates has it

	Watch   watch.Options                   // Event is the daemon's own
	Changed func(watch.Event, *seed.Folder) // told of changes of what is seeded, one after the other; with a folder's new id where it has one; may be nil
}

// Daemon is a node that keeps what it is told. Its methods are safe for concurrent use; those of the node are its own too.
type Daemon struct {
	*node.Node
	cfg     Config
	log     *slog.Logger
	keeper  keeper
	bridge  *bridge.Bridge
	server  *control.Server
	depot   *depot.Client // nil: contents of mirrors lie here
	mirrors *mirror.Set   // nil: only a daemon has some
	chats   chats
	web     web
	watcher *watch.Watcher
	relist  chan struct{} // something is in changed
	started time.Time
	notes   []string

	metrics     metrics.Registry
	seedChanges *metrics.Counter
	restored    atomic.Bool // what earlier runs have seeded is offered

	// One list of a folder at a time is made and published: one that was overtaken by a scan would be signed after what is newer, and
	// mirrors hold what goes back to an earlier version.
	listing sync.Mutex

	seeding sync.Mutex // taken before mu by who adds seeds or takes them away: what is a seed, and what is offered as one, change together

	denyLists sync.Mutex    // one change of what is subscribed at a time
	denyDue   chan struct{} // one token: a list that is subscribed has a newer version
	unlatest  func()        // stops telling mirrors of newer names; may be nil
	statusDue chan struct{} // one token: what others may know of mirrors has changed
	groupDue  chan struct{} // one token: there are others to listen for

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // what runs under ctx

	logs  *logs
	rates chan struct{} // one token: the limits are others now
	plain atomic.Uint64 // bytes that plain copies of mirrors have brought

	served atomic.Uint64 // bytes of answers by HTTP to other machines

	mu        sync.Mutex
	saved     saved
	seeds     []*Seed         // what is seeded now; saved has what earlier runs seeded, unless Config.Keep
	hashing   map[string]int  // scans that run, or wait for their turn, by root
	published []*Published    // by the daemon, while a command runs
	running   map[string]*run // jobs that run, by their id
	changed   []string        // roots of seeds whose folders have to be listed anew, each once
	table     limit.Timetable
	traffic   traffic
	closing   bool
	unsaved   bool // a job has ended since closing
}

// Open starts a node, goes on with what is kept, and answers on the control socket. The error is a *node.LockedError when
// another process owns the state folder.
func Open(c Config) (d *Daemon, err error) {
	if c.Node.StateDir == "" {
		return nil, errors.New("daemon: it needs a state folder")
	}
	// Others are told where it is, and name paths, from folders of their own.
	if c.Node.StateDir, err = filepath.Abs(c.Node.StateDir); err != nil {
		return nil, err
	}
	c.SeedRoots = slices.Clone(c.SeedRoots)
	for i, root := range c.SeedRoots {
		if c.SeedRoots[i], err = filepath.Abs(root); err != nil {
			return nil, err
		}
	}
	d = &Daemon{cfg: c, started: time.Now(), running: map[string]*run{}, hashing: map[string]int{}, rates: make(chan struct{}, 1), logs: &logs{}}
	base := slog.DiscardHandler
	if c.Node.Log != nil {
		base = c.Node.Log.Handler()
	}
	d.log = slog.New(&logHandler{logs: d.logs, next: base})
	c.Node.Log = d.log
	if other, err := control.Dial(context.Background(), c.Node.StateDir); err == nil {
		// Sooner than the lock of the index would tell.
		return nil, errors.Join(&node.LockedError{Path: c.Node.StateDir, PID: other.About().PID}, other.Close())
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	if d.Node, err = node.Start(c.Node); err != nil {
		d.stop()
		return nil, err
	}
	if err = d.open(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// open opens the parts, each after those that it needs. The socket is last: who finds it finds all.
func (d *Daemon) open() (err error) {
	d.keeper.path = filepath.Join(d.cfg.Node.StateDir, "daemon.json")
	var aside string
	if d.saved, aside, err = d.keeper.load(); err != nil {
		return err
	}
	if aside != "" {
		d.notes = append(d.notes, "daemon.json was damaged: seeds and downloads of earlier runs are forgotten; the old one is kept as "+aside)
	}
	if err := errors.Join(os.RemoveAll(d.spool()), os.MkdirAll(d.spool(), 0o700)); err != nil {
		return err
	}
	d.OnChat(nil)
	d.restoreSettings()
	d.countNode()
	d.countKept()
	d.countMirrors()
	d.bridge = newBridge(d.Node)
	d.countOffice()
	d.openWatcher()
	d.restored.Store(!d.cfg.Keep)
	if !d.cfg.Keep {
		d.published, d.saved.Published = d.saved.Published, nil // what one command publishes the next one does not
	} else {
		d.seeds = d.saved.Seeds
		d.restoreSeeds()
		d.restoreJobs()
		if err := d.openMirrors(); err != nil {
			return err
		}
	}
	if err := d.openWeb(); err != nil {
		return err
	}
	d.wg.Go(d.keepRates)
	d.every(retryEvery, d.retryJobs)
	if d.cfg.Keep {
		d.every(sweepEvery, d.sweep)
	}
	return d.serve()
}

// serve answers on the control socket.
func (d *Daemon) serve() error {
	l, err := control.Listen(d.cfg.Node.StateDir)
	if err != nil {
		return err
	}
	d.server = control.NewServer(d.About)
	d.server.ServeFetcher(d)
	d.server.ServeSeeder(d)
	d.server.ServeTalker(d)
	d.server.ServeDoubter(d)
	d.server.ServeMirrors(d)
	d.server.ServeDeny(d)
	d.server.ServePerson(d)
	d.server.ServePublisher(d)
	d.server.ServeHolder(d)
	d.server.ServeSettings(d)
	d.server.ServeLooker(d)
	d.server.Serve(l)
	return nil
}

// About says what runs here.
func (d *Daemon) About() control.About {
	return control.About{
		Release: d.cfg.Release, PID: os.Getpid(), Started: d.started, State: control.Path(d.cfg.Node.StateDir),
		Listen: d.Addrs(), Notes: d.Notes(), Foreground: d.cfg.Foreground, Web: d.web.addr,
	}
}

// Notes are those of the node and of what was restored.
func (d *Daemon) Notes() []string { return append(d.Node.Notes(), d.notes...) }

// Close ends everything, the last opened first. Jobs that run stay running on disk. All are told before anything is waited for: what
// each may take, as answers that are being written and the commands of hooks, would add up.
func (d *Daemon) Close() error {
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	d.stop()
	if d.mirrors != nil {
		d.unlatest()
		d.mirrors.Stop()
	}
	var told sync.WaitGroup
	var ended [3]error
	if d.server != nil {
		told.Go(func() { ended[0] = d.server.Close() })
	}
	if d.web.server != nil {
		told.Go(func() { ended[1] = d.web.server.Close() })
	}
	if d.watcher != nil {
		told.Go(func() { ended[2] = d.watcher.Close() })
	}
	told.Wait()
	err := errors.Join(ended[:]...)
	if d.mirrors != nil {
		d.mirrors.Close()
	}
	d.wg.Wait()
	err = errors.Join(err, d.saveEnded())
	d.endTraffic()
	if d.depot != nil {
		d.depot.Close()
	}
	if d.bridge != nil {
		d.bridge.Close()
	}
	return errors.Join(err, d.Node.Close())
}

// saveEnded writes what jobs have come to that ended with the daemon: once, not for each.
func (d *Daemon) saveEnded() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.unsaved {
		return nil
	}
	return d.saveLocked()
}

// saveLocked writes what is kept.
func (d *Daemon) saveLocked() error {
	s := d.saved
	if d.cfg.Keep {
		s.Seeds = d.seeds
	} else {
		s.Published = d.published
	}
	return d.keeper.store(s)
}
