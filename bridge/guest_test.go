package bridge

import (
	"net/netip"
	"runtime"
	"testing"
)

// TestAnswerAtOnce: what a guest can read of an arrival it may answer: while that cannot be noted, nothing can be read.
func TestAnswerAtOnce(t *testing.T) {
	g := newGuest(netip.MustParseAddrPort("127.0.0.1:1"), newPurse(), newOutbox())
	from := netip.MustParseAddrPort("192.0.2.1:1")
	g.heard.mu.Lock()
	told := make(chan bool)
	go func() { told <- g.tell(&Arrival{From: from}, []byte("[]")) }()
	const long = 1000
	for busy := 0; busy < long; runtime.Gosched() { // then the outbox waits for the note
		if !g.out.mu.TryLock() {
			busy++
			continue
		}
		busy = 0
		if len(g.out.texts) > 0 {
			t.Error("it can be read")
			busy = long
		}
		g.out.mu.Unlock()
	}
	g.heard.mu.Unlock()
	if !<-told || !g.heard.has(from) {
		t.Error("it was not told, or cannot be answered")
	}
}
