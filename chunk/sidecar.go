package chunk

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The sidecar TARGET.part.sharer. Two header slots of 4096 bytes, written in turn, so that a torn write loses
// nothing; then, from byte 8192, for a BLAKE3 id the tree file, for a SHA-256 id the leaf of each block that was
// written, by block number, zeros where there is none. A slot is text: 64 hex digits of the BLAKE3 of the JSON, a
// newline, the JSON, a newline, zeros.
const (
	slotSize       = 4096
	sidecarBase    = 2 * slotSize
	sidecarVersion = 1
)

// header is what a slot says. Others may have written it: parseSlot bounds every number.
type header struct {
	Version int    `json:"version"`
	Seq     uint64 `json:"seq"` // of two good slots the one with the higher counts
	ID      string `json:"id"`
	Also    string `json:"also,omitempty"` // the id that it was asked for by, when a peer told the one above
	Size    int64  `json:"size"`           // bytes, -1: not known
	Proven  bool   `json:"proven,omitempty"`
	PID     int    `json:"pid,omitempty"` // of the process that has it open
	Clean   *clean `json:"clean,omitempty"`
}

// clean is there after an orderly end: as long as the data file is still as it was, what it says needs no second
// hashing.
type clean struct {
	Done   [][2]int64 `json:"done"` // blocks, half-open, sorted
	Stamp  Stamp      `json:"stamp"`
	Boot   string     `json:"boot,omitempty"`   // bootID when it was written: after a power cut unsynced bytes may be gone
	Synced bool       `json:"synced,omitempty"` // or else they were synced
}

// trusted reports whether the mark holds for a data file with that stamp, now.
func (c *clean) trusted(now Stamp) bool {
	return c != nil && c.Stamp == now && (c.Synced || c.Boot != "" && c.Boot == bootID())
}

var (
	errNoHeader    = errors.New("sidecar has no valid header")
	errHeaderSpace = errors.New("sidecar header does not fit its slot")
)

// readHeader returns the newest valid header. The error is errNoHeader when there is none, ErrOtherContent for one of
// another version, or that of the file.
func readHeader(f io.ReaderAt) (header, error) {
	var best header
	found := errNoHeader
	for i := range int64(2) {
		var slot [slotSize]byte
		if n, err := f.ReadAt(slot[:], i*slotSize); n < len(slot) && err != io.EOF {
			return header{}, fmt.Errorf("read sidecar: %w", err)
		}
		if h, ok := parseSlot(slot[:]); ok && (found != nil || h.Seq > best.Seq) {
			best, found = h, nil
		}
	}
	if found == nil && best.Version != sidecarVersion {
		return best, fmt.Errorf("%w: sidecar of version %d", ErrOtherContent, best.Version)
	}
	return best, found
}

// parseSlot reads one slot. A header of another version is returned with nothing else checked.
func parseSlot(slot []byte) (h header, ok bool) {
	const sumLen = 2 * len(Hash{})
	text := bytes.TrimRight(slot, "\x00")
	if len(slot) > slotSize || len(text) < sumLen+2 || text[sumLen] != '\n' || text[len(text)-1] != '\n' {
		return header{}, false
	}
	sum, err := ParseHash(text[:sumLen])
	body := text[sumLen+1 : len(text)-1]
	if err != nil || RootOfBlock(body) != sum || json.Unmarshal(body, &h) != nil {
		return header{}, false
	}
	return h, h.Version != sidecarVersion || h.valid()
}

func (h *header) valid() bool {
	if _, err := ParseID(h.ID); err != nil || h.Size < -1 || h.Size > MaxSize {
		return false
	}
	if _, err := ParseID(h.Also); err != nil && h.Also != "" {
		return false
	}
	if h.Clean == nil {
		return true
	}
	last := int64(-1)
	for _, r := range h.Clean.Done {
		if r[0] <= last || r[1] <= r[0] || r[1] > ShapeOf(max(h.Size, 0)).Blocks() {
			return false
		}
		last = r[1]
	}
	return true
}

// slot returns the header as it stands in its slot, or errHeaderSpace.
func (h *header) slot() ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	slot := make([]byte, 0, slotSize)
	if len(body) > slotSize-2*len(Hash{})-2 {
		return nil, errHeaderSpace
	}
	sum := RootOfBlock(body)
	slot = hex.AppendEncode(slot, sum[:])
	slot = append(append(append(slot, '\n'), body...), '\n')
	return slot[:slotSize], nil
}

// sidecar is the open sidecar of a Partial, whose locks guard it: head and dirty by mu, the leaves by writing.
type sidecar struct {
	f     File
	head  header // as last written, but for what is dirty
	dirty bool   // head has news
	buf   []byte // scratch for leaves
}

// flush writes the header if it has news, into the slot that does not hold the newest one. Only a success counts:
// after an error the same slot is tried again, and the other is still good.
func (s *sidecar) flush() error {
	if !s.dirty {
		return nil
	}
	next := s.head
	next.Version = sidecarVersion
	next.Seq++
	slot, err := next.slot()
	if err != nil {
		return err
	}
	if err := writeAt(s.f, slot, int64(next.Seq&1)*slotSize); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	s.head.Seq, s.dirty = next.Seq, false
	return nil
}

// size is the number of bytes behind the header slots.
func (s *sidecar) size() (int64, error) {
	fi, err := s.f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read sidecar: %w", err)
	}
	return max(0, fi.Size()-sidecarBase), nil
}

// cut drops what lies more than n bytes behind the header slots.
func (s *sidecar) cut(n int64) error {
	size, err := s.size()
	if err != nil {
		return err
	}
	if err := s.f.Truncate(sidecarBase + min(n, size)); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	return nil
}

// keepLeaves writes the leaves of blocks, with a SHA-256 id.
func (s *sidecar) keepLeaves(first int64, leaves []Hash) error {
	s.buf = s.buf[:0]
	for i := range leaves {
		s.buf = append(s.buf, leaves[i][:]...)
	}
	if err := writeAt(s.f, s.buf, sidecarBase+first*nodeSize); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	return nil
}

// keptLeaves reads them; unknown ones are zero.
func (s *sidecar) keptLeaves(first int64, n int) ([]Hash, error) {
	buf := make([]byte, n*nodeSize)
	if got, err := s.f.ReadAt(buf, sidecarBase+first*nodeSize); got < len(buf) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read sidecar: %w", err)
	}
	leaves := make([]Hash, n)
	for i := range leaves {
		leaves[i] = Hash(buf[i*nodeSize:])
	}
	return leaves, nil
}

// dropLeaves makes the leaves of blocks unknown.
func (s *sidecar) dropLeaves(blocks Range) error {
	var zeros [1024]Hash
	for blocks.From < blocks.To {
		n := min(blocks.Len(), int64(len(zeros)))
		if err := s.keepLeaves(blocks.From, zeros[:n]); err != nil {
			return err
		}
		blocks.From += n
	}
	return nil
}
