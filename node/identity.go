package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path/filepath"

	"sharer/chunk"
	"sharer/identity"
	"sharer/wire"
)

// KeyFile is where the key lies in a state folder.
func KeyFile(stateDir string) string { return filepath.Join(stateDir, "key.json") }

// openKey opens who we are. A state folder of our own gets a key at its first start; somebody else's is read, and where
// that has none or keeps it from us we are nobody in particular: a key for this run. A damaged file is an error.
func (n *Node) openKey(random io.Reader) (*identity.Key, error) {
	switch {
	case n.cfg.Identity != nil:
		return n.cfg.Identity, nil
	case n.state != nil:
		k, did, err := identity.OpenKey(KeyFile(n.state.dir), random)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		if did.Tightened {
			n.notes = append(n.notes, "others could read "+KeyFile(n.state.dir)+": now only you can")
		}
		return k, nil
	case n.cfg.StateDir != "":
		k, err := identity.LoadKey(KeyFile(n.cfg.StateDir))
		if err == nil {
			return k, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	return identity.NewKey(random)
}

// assembleIdentity makes what knows of keys and names, and registers its handlers.
func (n *Node) assembleIdentity(random io.Reader) error {
	key, err := n.openKey(random)
	if err != nil {
		return err
	}
	file := ""
	if n.state != nil {
		file = filepath.Join(n.state.dir, "names.jsonl")
	}
	n.names = newNames(key.Public(), n.log, file)
	n.names.holder = func(id chunk.ID, a netip.AddrPort) { n.swarm.Holders.Add(id, a) }
	n.names.held.Here = func(r identity.Record) bool { return n.library != nil && n.library.holds(contentsOf(r)) }
	if bad, err := n.names.load(); err != nil {
		return fmt.Errorf("names: %w; move it away: what names stand for is asked for again", err)
	} else if bad > 0 {
		n.notes = append(n.notes, fmt.Sprintf("%d lines of %s are damaged and were left out", bad, file))
	}
	n.letters = &letters{
		opener: &identity.Opener{Key: key, Places: identity.NewPlaces(key.Public()), Replays: identity.NewReplays(), Budget: identity.NewBudget()},
		gate:   n.swarm.Gate, table: n.swarm.Table, mux: n.mux, names: n.names, random: random, wanted: n.hinted,
	}
	n.introduce = &introductions{
		letters: n.letters, unasked: n.state != nil || n.cfg.Introduce, met: make(chan netip.AddrPort, maxMet), batch: n.swarm.Gate.NewBatch(), told: map[netip.AddrPort]*told{},
	}
	n.searches = map[identity.PublicKey][]*search{}
	n.voice = n.swarm.Gate.NewBatch()
	n.letters.register()
	n.mux.Handle(wire.PleaseAlwaysReturnThisMessage{}.Name(), wire.HandlerFunc(n.introduce.asked))
	n.mux.Handle(wire.GetLatest{}.Name(), wire.HandlerFunc(n.names.getLatest))
	return nil
}

// runIdentity starts what introduces us, and what keeps names.
func (n *Node) runIdentity() {
	n.unmeet = func() {}
	if n.introduce.unasked {
		n.unmeet = n.swarm.Table.Watch(n.introduce.gained)
	}
	n.wg.Go(func() { n.introduce.run(n.ctx) })
	pushes := n.swarm.Gate.NewBatch()
	n.wg.Go(func() {
		if err := n.names.run(n.ctx, pushes); err != nil {
			n.log.Warn("what names stand for could not be kept", "err", err)
		}
	})
}
