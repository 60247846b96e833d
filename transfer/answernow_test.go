package transfer

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/wire"
)

// stuckOut is a Batch that does not let go of whoever flushes it while it is stuck.
type stuckOut struct {
	answersSent
	stuck chan struct{} // nil: it is not
}

func (b *stuckOut) Flush() error {
	if b.stuck != nil {
		<-b.stuck
	}
	return nil
}

// The receive path answers those to whom answers leave fast, while there is room in the socket, and waits for nobody else's link.
func TestReceivePathWaitsForNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{1}}
		source := shelf{id: {data: make([]byte, speedLump+3*turnBytes)}}
		out := &stuckOut{answersSent: answersSent{begun: time.Now(), first: map[netip.AddrPort]time.Duration{}, n: map[netip.AddrPort]int{}}}
		roomy := true
		u := NewUploads(UploadConfig{Source: source, Holders: noHolders{}, Batch: out, Roomy: func() bool { return roomy }})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { u.Run(ctx) })
		synctest.Wait()
		ask := func(peer byte, at int64) {
			m := wire.PleaseSendContent{ID: []byte(id.String()), Offset: at, Length: maxAnswer, Raw: 7}
			from := wire.Sender{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, peer}), 1), Proven: true}
			u.request(from, wire.Element{Name: m.Name(), Payload: m.AppendPayload(nil)})
		}
		for at := int64(0); at < speedLump+2*turnBytes; at += maxAnswer {
			ask(1, at)
			synctest.Wait()
		}
		for _, c := range []struct {
			name         string
			peer         byte
			roomy, waits bool
		}{
			{"fast", 1, true, true},
			{"fast, with much in the socket", 1, false, false},
			{"slow, beside the fast one", 2, true, false},
		} {
			roomy, out.stuck = c.roomy, make(chan struct{})
			asked := make(chan struct{})
			go func() {
				ask(c.peer, int64(c.peer)) // not what it was asked before
				close(asked)
			}()
			synctest.Wait()
			select {
			case <-asked:
				if c.waits {
					t.Errorf("%s: the loop answers it", c.name)
				}
			default:
				if !c.waits {
					t.Errorf("%s: the receive path waits for the socket", c.name)
				}
			}
			close(out.stuck)
			synctest.Wait()
		}
		stop()
		wg.Wait()
	})
}
