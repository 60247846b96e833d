package sim

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"sharer/node"
	"sharer/wire"
)

// namedNode is a node that shares files by name, as the least ones do: 32 bytes to those who have not
// returned its cookie, and one request in 27 dropped. After most answers it falls silent, unless that is 0.
func namedNode(files map[string][]byte, most int) Behaviour {
	n := 0
	return Behaviour{Name: "small", Heard: func(e *Evil, d wire.Datagram) bool {
		es, _, err := wire.Split(nil, d.Data)
		if err != nil {
			return false
		}
		proven := bytes.Contains(d.Data, []byte(`"AlwaysReturned":{"cookie":"5afa97d4"}`))
		for _, el := range es {
			if el.Name != "PleaseSendContent" {
				continue
			}
			m, err := wire.ParsePleaseSendContent(el.Payload)
			data, ok := files[string(m.ID)]
			if n++; err != nil || !ok || n%27 == 0 || most > 0 && n > most {
				continue
			}
			e.Note("small")
			length := m.Length
			if !proven {
				length = min(length, 32)
			}
			off := min(m.Offset, int64(len(data)))
			part := data[off:min(off+length, int64(len(data)))]
			e.sendLocked(d.Addr, wire.Content{ID: m.ID, Offset: off, Data: part, EOF: int64(len(data))},
				wire.PleaseAlwaysReturnThisMessage{Value: wire.CookieValue("5afa97d4")})
		}
		return false
	}}
}

// A file that small nodes share by name arrives, over a lossy link too, and from the second when the first falls silent. It is
// not offered to others, and what is there is not overwritten.
func TestGetByName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := plain
		link.Loss = 0.05
		w := New(t, Options{Link: link})
		defer w.Close()
		c, err := randomContent(w.Rand(), 200_001)
		if err != nil {
			t.Fatal(err)
		}
		photo := c.Data
		files := map[string][]byte{"photo.jpg": photo, "empty": {}}
		tired, steady := w.Evil(namedNode(files, 20)), w.Evil(namedNode(files, 0))
		n := w.Node(node.Config{Peers: []netip.AddrPort{tired.At}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		go func() {
			time.Sleep(3 * time.Second)
			n.Give(steady.At)
		}()
		for name, want := range files {
			path := w.Path("got")
			got, err := n.GetNamed(ctx, name, node.Get{Path: path})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, want) {
				t.Errorf("%s: %d bytes of %d, %v", name, len(data), len(want), err)
			}
			if name == "photo.jpg" && got.From != steady.At {
				t.Errorf("it comes from %v", got.From)
			}
			if _, err := n.GetNamed(ctx, name, node.Get{Path: path}); !errors.Is(err, node.ErrExists) {
				t.Errorf("%s again: %v", name, err)
			}
			other := w.Node(node.Config{Peers: []netip.AddrPort{n.At}})
			if _, err := other.GetNamed(ctx, name, node.Get{Path: w.Path("other"), FindTimeout: 10 * time.Second}); !errors.Is(err, node.ErrNotFound) {
				t.Errorf("%s from who fetched it: %v", name, err)
			}
		}
		if tired.Count("small") == 0 || steady.Count("small") == 0 {
			t.Error("somebody was not asked")
		}
	})
}
