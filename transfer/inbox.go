package transfer

import (
	"sync"

	"sharer/wire"
)

// What waits for the loop of a download at most: two full windows of the shortest answers, and of the longest. Beyond
// that the loop is too slow and loss is right.
const (
	inboxMost  = 4096
	inboxBytes = 2 * maxWindow
)

// inbox holds the answers that have come for a download and that its loop has not taken yet, with their bytes in one piece:
// the loop takes all at once, and gives back the memory of those that it took before. A small content costs little, and
// nothing is allocated once both lumps are as large as they become.
type inbox struct {
	ready chan struct{} // has room for one: something is there

	mu   sync.Mutex
	lump lump
}

// lump is what came between two looks.
type lump struct {
	answers []arrival
	bytes   []byte
}

// answer is the i-th answer with its bytes.
func (l *lump) answer(i int) *arrival {
	a := &l.answers[i]
	a.data = l.bytes[a.begin : a.begin+a.n]
	return a
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// put adds an answer with its bytes, or several that follow one another as one. False: there is no room. It never waits.
func (b *inbox) put(a *arrival, data ...[]byte) bool {
	a.n = 0
	for _, part := range data {
		a.n += len(part)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.roomLocked(a.n) {
		return false
	}
	a.begin = len(b.lump.bytes)
	for _, part := range data {
		b.lump.bytes = append(b.lump.bytes, part...)
	}
	b.addLocked(a)
	return true
}

// putEncoded is put for what is in base64, at most so many bytes; fits is false where it is none, or more.
func (b *inbox) putEncoded(a *arrival, m *wire.Content, most int) (room, fits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.roomLocked(m.DecodedLen()) {
		return false, true
	}
	a.begin = len(b.lump.bytes)
	bytes, err := m.AppendData(b.lump.bytes)
	if a.n = len(bytes) - a.begin; err != nil || a.n > most {
		return true, false
	}
	b.lump.bytes = bytes
	b.addLocked(a)
	return true, true
}

func (b *inbox) roomLocked(n int) bool {
	return len(b.lump.answers) < inboxMost && len(b.lump.bytes)+n <= inboxBytes
}

func (b *inbox) addLocked(a *arrival) {
	b.lump.answers = append(b.lump.answers, *a)
	if len(b.lump.answers) == 1 {
		b.signal()
	}
}

// signal says that something may be there.
func (b *inbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default: // it has been said
	}
}

// take returns what has come, and keeps the memory of an earlier lump.
func (b *inbox) take(old lump) lump {
	old.answers, old.bytes = old.answers[:0], old.bytes[:0]
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.lump
	b.lump = old
	return taken
}
