package daemon

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/gateway"
	"sharer/identity"
	"sharer/node"
)

const (
	maxLines  = 100              // of the chat that the node's page shows, of 1 KB each
	maxItems  = 200              // contents that it lists
	viewEvery = 2 * time.Second  // how often those are looked up
	heardFor  = 90 * time.Second // a peer that was heard of since counts as active: four keepalives
	sayFor    = 40 * time.Second // a message is tried for so long
	group     = "main"           // whom the page talks to
)

// view shows the gateway what its page shows.
type view struct {
	d *Daemon

	mu    sync.Mutex
	lines []gateway.Line
	items []gateway.Item
	all   int
	at    time.Time // of items
}

var _ gateway.View = (*view)(nil)

// newView listens to the chat as long as the daemon runs.
func newView(d *Daemon) *view {
	v := &view{d: d}
	stop := d.Chats(func(c node.Chat) {
		from := c.From.String()
		if c.Key != (identity.PublicKey{}) {
			from = "0x" + c.Key.String()[:12]
		}
		v.note(gateway.Line{At: c.At, From: from, Text: c.Text})
	})
	context.AfterFunc(d.ctx, stop)
	return v
}

func (v *view) note(l gateway.Line) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lines = append(v.lines, l)
	v.lines = v.lines[max(0, len(v.lines)-maxLines):]
}

// Status looks at the node.
func (v *view) Status(context.Context) gateway.Status {
	n := v.d.Node
	s := gateway.Status{Version: v.d.cfg.Release, PublicKey: n.Key(), FreeDisk: freeOn(n.Store())}
	for _, a := range n.Addrs() {
		s.Listen = append(s.Listen, a.String())
	}
	s.Store.Bytes, s.Store.Quota = n.Store().Usage()
	now := time.Now()
	keys := n.KeysOf()
	for _, p := range n.Peers() {
		s.Peers = append(s.Peers, gateway.Peer{
			Addr: p.Addr.String(), Key: keys[p.Addr], RTT: p.RTT, Active: p.Proven && !p.Banned && now.Sub(p.LastHeard) < heardFor,
		})
	}
	g := n.Stats().Gate
	for r := range g.OutWire {
		s.Up += int64(g.OutWire[r])
	}
	s.Down = int64(g.InWire)
	for _, a := range n.Incoming() {
		s.Arriving = append(s.Arriving, arrivalOf(a))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Sub(v.at) >= viewEvery {
		v.items, v.all, v.at = v.d.sharedItems(), 0, now
		v.all = len(v.items)
		v.items = v.items[:min(len(v.items), maxItems)]
	}
	s.Shared, s.SharedAll, s.Chat = slices.Clone(v.items), v.all, slices.Clone(v.lines)
	return s
}

func arrivalOf(a node.Incoming) gateway.Arrival {
	state := string(a.Progress.State)
	switch {
	case a.Err != nil:
		state = "failed: " + a.Err.Error()
	case state == "":
		state = string(node.LookingForPeers)
	}
	total := a.Progress.Total
	if a.Progress.State == "" {
		total = -1
	}
	return gateway.Arrival{
		ID: a.ID, Name: a.Name, Done: a.Progress.Done, Total: total, Rate: a.Progress.Rate, State: state, Sources: a.Progress.Sources, Readers: a.Readers,
	}
}

// sharedItems are what is seeded, a folder as one, and what is in the store, the latest first.
func (d *Daemon) sharedItems() (items []gateway.Item) {
	d.mu.Lock()
	for _, s := range d.seeds {
		i := gateway.Item{Name: filepath.Base(string(s.Path)), Size: s.Bytes, BLAKE3: s.ID.Hash, At: s.Added}
		if s.Folder != "" {
			h, err := chunk.ParseHash(s.Folder)
			if err != nil {
				continue
			}
			i.BLAKE3, i.Folder, i.Size = h, true, cmp.Or(s.Listed, s.Bytes)
		} else if s.ID.Kind != chunk.BLAKE3 {
			continue // nothing was found there
		}
		items = append(items, i)
	}
	d.mu.Unlock()
	for _, e := range d.Store().List() {
		items = append(items, gateway.Item{Name: e.Name, Size: e.Sums.Size, BLAKE3: e.Sums.BLAKE3, SHA256: e.Sums.SHA256, Stored: true, At: e.Added})
	}
	slices.SortStableFunc(items, func(a, b gateway.Item) int { return b.At.Compare(a.At) })
	return items
}

// Fetch has a content fetched into the store, to stay there.
func (v *view) Fetch(_ context.Context, w gateway.Want) error {
	return forWeb(v.d.Bring(openRequest(w)))
}

// Remove takes a content out of the store.
func (v *view) Remove(_ context.Context, id chunk.ID) error {
	err := forWeb(v.d.Discard(id))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at = time.Time{}
	return err
}

// Say tells everybody, and is over when it has begun: those who are met meanwhile are told too.
func (v *view) Say(_ context.Context, text string) error {
	d := v.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return node.ErrClosed
	}
	v.note(gateway.Line{At: time.Now(), Text: text})
	d.wg.Go(func() {
		ctx, cancel := context.WithTimeout(d.ctx, sayFor)
		defer cancel()
		if _, err := d.SayAll(ctx, group, text); err != nil && !errors.Is(err, node.ErrNoAnswer) && ctx.Err() == nil {
			d.log.Info("chat", "err", err)
		}
	})
	return nil
}
