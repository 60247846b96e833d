package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"sharer/identity"
	"sharer/internal/atomicfile"
	"sharer/swarm"
	"sharer/wire"
)

// namesFile is the file that keeps what names stand for: a signed message a line, each as it came, so that nobody need be
// believed who could write it. It is replaced as a whole. What a crash loses was heard in the last second, never what
// was published here.
type namesFile struct {
	path string // empty: nothing is kept

	mu sync.Mutex // one writer at a time
}

const (
	maxNamesFile = 64 << 20    // bytes that are read: 4096 times two records of at most 4 KiB and their keys
	namesEvery   = time.Second // between two writes of what was heard
)

// load reads the file. Lines that do not verify are left out and counted.
func (s *names) load() (bad int, err error) {
	if s.file.path == "" {
		return 0, nil
	}
	f, err := os.Open(s.file.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxNamesFile))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !s.restore(line) {
			bad++
		}
	}
	return bad, nil
}

// restore takes one line.
func (s *names) restore(line []byte) bool {
	es, _, err := wire.Split(nil, append(append([]byte{'['}, line...), ']'))
	if err != nil || len(es) != 1 || es[0].Name != (wire.SignedMessage{}).Name() {
		return false
	}
	m, err := wire.ParseSignedMessage(es[0].Payload)
	if err != nil {
		return false
	}
	l, err := identity.Verify(m)
	if err != nil {
		return false
	}
	r, err := identity.ReadLatest(l)
	if err != nil || s.held.Want(r.Key, r.Path) != nil {
		return false
	}
	_, _, err = s.held.Offer(l)
	return err == nil
}

// save writes what is known.
func (s *names) save() error {
	if s.file.path == "" {
		return nil
	}
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	var text []byte
	for _, r := range s.held.Records() {
		if older, ok := s.held.Older(r.Key, r.Path); ok { // ahead of what replaced it, as it was heard
			text = append(wire.AppendMessage(text, older.Signed), '\n')
		}
		text = append(wire.AppendMessage(text, r.Signed), '\n')
	}
	// The folder is not synced: what a power cut takes back is heard again.
	if err := atomicfile.Write(s.file.path, text, atomicfile.How{Sync: atomicfile.Ordered}); err != nil {
		return fmt.Errorf("names: %w", err)
	}
	return nil
}

// run writes the file when something was heard, and passes records on, until ctx ends.
func (s *names) run(ctx context.Context, b *swarm.Batch) error {
	write := time.NewTimer(0)
	write.Stop()
	defer write.Stop()
	pending := false
	for {
		select {
		case <-ctx.Done():
			if pending || len(s.dirty) > 0 {
				return s.save()
			}
			return nil
		case <-s.dirty:
			if !pending {
				pending = true
				write.Reset(namesEvery)
			}
		case <-write.C:
			pending = false
			if err := s.save(); err != nil {
				s.log.Warn("what names stand for could not be kept", "err", err)
			}
		case p := <-s.pushes:
			for _, a := range p.to {
				if buf, ok := b.Open(a, 0, swarm.Tell); ok {
					b.Close(wire.AppendMessage(buf, p.record.Signed), 0)
				}
			}
			_ = b.Flush() // counted; it is asked for again
		}
	}
}
