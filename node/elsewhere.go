package node

import (
	"context"
	"path/filepath"

	"sharer/chunk"
)

// Elsewhere reads contents that do not lie on this machine. What it returns was verified.
type Elsewhere interface {
	ReadContent(ctx context.Context, blake3 chunk.Hash, size int64, p []byte, off int64) (int, error)
	ReadTree(blake3 chunk.Hash, size int64, p []byte, off int64) (int, error)
}

// elsewhere are the contents whose places are files below dir, though those files do not hold them.
type elsewhere struct {
	dir  string
	from Elsewhere
}

// ServeElsewhere has contents that are offered at places below a folder, which is absolute, read from elsewhere. It comes
// before the first of them is offered.
func (n *Node) ServeElsewhere(dir string, from Elsewhere) {
	n.library.elsewhere.Store(&elsewhere{filepath.Clean(dir), from})
}

// elsewhereOf is where a place is read; nil: it is the file itself.
func (l *library) elsewhereOf(path string) Elsewhere {
	e := l.elsewhere.Load()
	if e == nil || !within(path, e.dir) {
		return nil
	}
	return e.from
}

// elsewhere is where a content is read; nil: its places are files.
func (s *seeded) elsewhere() Elsewhere {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.places) == 0 {
		return nil
	}
	return s.library.elsewhereOf(s.places[0].Path)
}
