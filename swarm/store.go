package swarm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"sharer/internal/atomicfile"
)

// peers.json remembers whom to try first:
//
//	{"v":1,"peers":[{"addr":"148.71.89.128:24254","first":1700000000,"last":1700003600,"rtt_ms":41.5}]}
//
// first and last are seconds since 1970 by the wall clock, 0: not known; the longest-lived come
// first, and the first eight that were heard within a day of the last are the anchors. It is a hint:
// whatever is wrong with it is skipped, nothing in it counts as proven, and a lost one is made anew.
//
// The wall clock is used here only. It may have jumped since the file was written, and jump again: what
// is read becomes an age, counted back from now on the monotonic clock, and what is in the future is now;
// what is written is an age again, taken from the wall clock of that moment.
const (
	storeVersion = 1
	storeMost    = 512
	storeBytes   = 256 << 10 // 512 peers of some 120 bytes are 60 KiB; a larger file is not ours
	saveEvery    = time.Minute
	anchors      = 8
	anchorWithin = 24 * time.Hour
	forgetAfter  = 7 * 24 * time.Hour
)

type stored struct {
	Addr  string  `json:"addr"`
	First int64   `json:"first"`
	Last  int64   `json:"last"`
	RTT   float64 `json:"rtt_ms,omitempty"`
}

type storedFile struct {
	V     int               `json:"v"`
	Peers []json.RawMessage `json:"peers"`
}

// known is one peer of the file, with its times of the wall clock.
type known struct {
	addr        netip.AddrPort
	first, last time.Time
	rtt         time.Duration
}

type store struct {
	path   string
	loaded []known
	err    error
}

var errPeersFile = errors.New("swarm: no usable peers file")

func openStore(path string) *store {
	s := &store{path: path}
	s.loaded, s.err = readPeers(path)
	if errors.Is(s.err, fs.ErrNotExist) {
		s.err = nil
	}
	return s
}

// Saved is a peer as peers.json remembers it.
type Saved struct {
	Addr        netip.AddrPort
	First, Last time.Time     // when it was first and last heard, to the second; the zero of Unix time: not said
	RTT         time.Duration // 0: not measured
}

// ReadPeersFile reads a peers.json that another process may own, and when it was
// written. Entries that are wrong are left out.
func ReadPeersFile(path string) (peers []Saved, written time.Time, err error) {
	ks, err := readPeers(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read peers: %w", err)
	}
	for _, k := range ks {
		peers = append(peers, Saved{Addr: k.addr, First: k.first, Last: k.last, RTT: k.rtt})
	}
	return peers, fi.ModTime(), nil
}

func readPeers(path string) ([]known, error) {
	// Stat before open: opening a FIFO would wait for its writer. The folder is the owner's own.
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read peers: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", errPeersFile, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read peers: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, storeBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read peers: %w", err)
	}
	return parsePeers(b)
}

// parsePeers takes what it can of a file: an entry that is wrong is skipped.
func parsePeers(b []byte) ([]known, error) {
	if len(b) > storeBytes {
		return nil, fmt.Errorf("%w: larger than %d bytes", errPeersFile, storeBytes)
	}
	var f storedFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", errPeersFile, err)
	}
	if f.V != storeVersion {
		return nil, fmt.Errorf("%w: version %d", errPeersFile, f.V)
	}
	var ks []known
	seen := map[netip.AddrPort]bool{}
	for _, raw := range f.Peers {
		var p stored
		if json.Unmarshal(raw, &p) != nil {
			continue
		}
		a, err := netip.ParseAddrPort(p.Addr)
		if a = Clean(a); err != nil || !ClassOf(a).Unicast() || seen[a] || len(ks) >= storeMost {
			continue
		}
		seen[a] = true
		k := known{addr: a, first: unix(p.First), last: unix(p.Last)}
		if p.RTT > 0 && p.RTT < float64(RTOCeiling/time.Millisecond) {
			k.rtt = time.Duration(p.RTT * float64(time.Millisecond))
		}
		ks = append(ks, k)
	}
	return ks, nil
}

// unix bounds a time of the file, so that arithmetic with it stays sane.
func unix(sec int64) time.Time { return time.Unix(min(max(sec, 0), 1<<40), 0) }

func formatPeers(ks []known) []byte {
	ps := make([]stored, 0, len(ks))
	for _, k := range ks {
		ps = append(ps, stored{
			Addr: k.addr.String(), First: k.first.Unix(), Last: k.last.Unix(),
			RTT: float64(k.rtt.Microseconds()) / 1000,
		})
	}
	b, err := json.MarshalIndent(struct {
		V     int      `json:"v"`
		Peers []stored `json:"peers"`
	}{storeVersion, ps}, "", " ")
	if err != nil {
		return nil // cannot happen: numbers and addresses only
	}
	return append(b, '\n')
}

// save writes the file, if there is one to write and somebody to put into it: a node that met
// nobody today keeps yesterday's list.
func (s *Swarm) save(now time.Time) error {
	if s.store == nil || s.conf.ReadOnly {
		return nil
	}
	met := s.Table.remember(now)
	if len(met) == 0 {
		return nil
	}
	ks := merge(met, s.store.loaded, now)
	if err := atomicfile.Write(s.store.path, formatPeers(ks), atomicfile.How{Shared: true}); err != nil {
		return fmt.Errorf("write peers: %w", err)
	}
	return nil
}
