package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/internal/portmap"
	"sharer/swarm"
	"sharer/transfer"
)

// DefaultPort is the UDP port of the swarm (wire.md section 1).
const DefaultPort = 24254

// Config says how a node runs. The zero value is a node on the swarm's port that keeps no state.
type Config struct {
	Listen     []string            // UDP addresses; empty: the default port on every address
	Peers      []netip.AddrPort    // given by the user: asked first and for ever
	StateDir   string              // index, trees, peers.json; empty: nothing is read or kept
	ReadOnly   bool                // the state folder belongs to somebody else: peers.json is read, nothing is written
	Isolated   bool                // loopback and own subnets only: no bootstrap, no announcement
	Up, Down   int64               // bytes a second on the wire, as in Limits. 0: no limit
	UpPerPeer  int64               // the same for what each peer is sent
	Congestion transfer.Congestion // how downloads find out how fast peers may be asked
	Fsync      bool                // a finished download is synced before it counts as finished
	Version    string              // what /version answers
	Log        *slog.Logger        // nil: silent

	DownPerPeer int64 // as UpPerPeer, for what comes from each peer

	Identity  *identity.Key // who we are; nil: the state folder's, else somebody new for this run
	Introduce bool          // whoever is met is told who we are; a node with a state folder of its own always does

	StoreQuota   int64 // bytes that the store may hold, 0: no limit
	StoreMinFree int64 // bytes that it leaves free on the disk, 0: see package store

	Mapping *portmap.Config // nil: the router is asked for nothing, nor if Isolated; V4 and V6 are what the node listens on

	Conn swarm.Conn // nil: real sockets on Listen; a simulation hands in its own, and knows no public node
	Rand io.Reader  // nil: crypto/rand; secrets and choices are drawn from it
}

func (c Config) validate() error {
	if c.Conn != nil && len(c.Listen) > 0 {
		return errors.New("node: both a socket and addresses to listen on were given")
	}
	return nil
}

// Errors that a command turns into an exit code. All but LockedError are sentinels.
var (
	ErrNotFound  = errors.New("no peer has it")            // nobody answered with content within FindTimeout
	ErrStalled   = errors.New("the download stalled")      // some of it came, then nothing for StallTimeout; the partial is kept
	ErrIntegrity = errors.New("the content is not its id") // every source was tried and the whole never matched
	ErrExists    = errors.New("the target exists with other content")
	ErrClosed    = errors.New("the node is closing")
	ErrNoAnswer  = errors.New("no answer")
)

// LockedError says that another process owns the state folder or the partial file.
type LockedError struct {
	Path string
	PID  int // 0: not known
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another sharer", e.Path)
	}
	return fmt.Sprintf("%s is in use by another sharer (pid %d)", e.Path, e.PID)
}

// Get names a content and where it shall be written.
type Get struct {
	ID           chunk.ID         // SHA256 or BLAKE3; a Tree id means the tree file itself
	Also         chunk.ID         // the other hash of the same content, if known: both must match at the end
	Size         int64            // hint of the link, -1: not known
	Peers        []netip.AddrPort // hints of the link
	Path         string           // final name; PATH.part and PATH.part.sharer lie beside it while it arrives
	Force        bool             // replace an existing Path
	FindTimeout  time.Duration    // 0: 60 s
	StallTimeout time.Duration    // 0: 5 min
	Out          io.Writer        // gets the bytes in order: by BLAKE3 each as soon as it is verified, and else when all is; nil: nobody
	Progress     func(Progress)   // called at most ten times a second, never concurrently; may be nil

	refuse  func(chunk.Hash) bool // a BLAKE3 that a peer tells is not followed; nil: none is
	hinted  bool                  // ID is such a BLAKE3
	arrival *arrival              // who reads it meanwhile; nil: made by Get
	share   *transfer.Limit       // with the other contents of one GetFolder; nil: none
	own     bool                  // the caller moves the finished file: it is not served from here
}

// State of a download, in the words that are shown to people.
type State string

// The states of a download.
const (
	LookingForPeers State = "looking for peers"
	Waiting         State = "waiting for a peer that answers"
	Downloading     State = "downloading"
	Verifying       State = "verifying"
	Done            State = "done"
)

// Progress is one look at a running download. Bytes are bytes of content.
type Progress struct {
	State   State
	Done    int64   // verified and on disk (sha256: on disk)
	Total   int64   // -1: not known yet
	Rate    float64 // bytes a second, averaged over ten seconds; 0 before three seconds
	Peers   int     // peers asked
	Sources int     // peers that sent something that was used
}

// Got is a finished download.
type Got struct {
	Path     string
	Size     int64
	Sums     chunk.Sums // the hashes that were checked; the other one is zero when it was not needed
	Existed  bool       // the target was there already with the same bytes; nothing was fetched
	Fetched  int64      // bytes of content that came over the network in this run
	Resumed  int64      // bytes that an earlier run had fetched
	Duration time.Duration
	Asked    int            // peers asked
	From     netip.AddrPort // by name: the one peer that gave it

	streamed bool // to Get.Out, as it came
}

// NotFoundError carries what was tried; it is an ErrNotFound.
type NotFoundError struct {
	ID    chunk.ID
	Name  string // asked for instead of the ID, if not empty
	Asked int
	After time.Duration
}

func (e *NotFoundError) Error() string {
	if e.Name != "" {
		return fmt.Sprintf("no peer shares %q by name after %s (asked %d peers)", e.Name, e.After.Round(time.Second), e.Asked)
	}
	return fmt.Sprintf("no peer has %s after %s (asked %d peers)", e.ID, e.After.Round(time.Second), e.Asked)
}

// Is makes errors.Is(err, ErrNotFound) true.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// Pong is one answer to a ping.
type Pong struct {
	From  netip.AddrPort
	RTT   time.Duration
	Bytes int                // size of the datagram that carried the answer
	Key   identity.PublicKey // who lives there; zero: not known
}

// Chat is a message that arrived from a proven address.
type Chat struct {
	From   netip.AddrPort
	Key    identity.PublicKey // who said it; zero: nobody but the address is known
	Sealed bool               // nobody else could read it
	Group  string             // said to all, under this name; "": to us alone
	Text   string             // as sent, and so is Group: they must be escaped before a terminal sees them
	At     time.Time
}
