package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/transfer"
)

// Small contents of a folder are fetched together (transfer.Many): each is in memory until it is whole and checked, and is
// written once, by one of a few goroutines. What does not come so is fetched by itself, like large ones.

// sortOut parts contents that are fetched together from those that are not: large ones, those of which something is there
// already, in the stage, in their places or elsewhere on this machine, and those that are denied.
func (r *folderRun) sortOut(ctx context.Context, groups [][]folder.File) (together, rest [][]folder.File) {
	begun, fresh := r.begun()
	for _, files := range groups {
		if ctx.Err() == nil && r.startsSmall(files, begun, fresh) {
			together = append(together, files)
		} else {
			rest = append(rest, files)
		}
	}
	if len(together) == 1 { // alone it is found sooner by itself
		return nil, groups
	}
	return together, rest
}

// begun are the contents of which something is in the stage, from an earlier run. fresh: nothing else is in the folder.
func (r *folderRun) begun() (begun map[chunk.Hash]bool, fresh bool) {
	begun = map[chunk.Hash]bool{}
	for _, name := range r.namesIn(folder.Stage) {
		if h, err := chunk.ParseHash([]byte(name[:min(len(name), 2*len(chunk.Hash{}))])); err == nil {
			begun[h] = true
		}
	}
	return begun, len(r.namesIn(".")) == 1
}

// namesIn are the names in a folder below the root; what cannot be read has none.
func (r *folderRun) namesIn(dir string) []string {
	d, err := r.root.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return names
}

func (r *folderRun) startsSmall(files []folder.File, begun map[chunk.Hash]bool, fresh bool) bool {
	f := files[0]
	if f.Size <= 0 || f.Size > smallContent || begun[f.BLAKE3] {
		return false
	}
	if r.node.DeniesContent(f.IDs()...) || r.node.library.whole(f.ID()) != nil {
		return false
	}
	if fresh {
		return true
	}
	for _, f := range files {
		if r.taken(f) {
			return false
		}
	}
	return true
}

// together fetches contents at once, and returns those that have to be fetched by themselves.
func (r *folderRun) together(ctx context.Context, groups [][]folder.File) (left [][]folder.File) {
	if len(groups) == 0 {
		return nil
	}
	ctx, end, err := r.node.begin(ctx)
	if err != nil {
		return groups
	}
	defer end()
	land, err := r.newLanding()
	if err != nil {
		return groups
	}
	defer land.close()
	n := r.node
	n.giveHints(r.Peers)
	batch := n.swarm.Gate.Borrow()
	defer n.swarm.Gate.GiveBack(batch)
	items := make([]transfer.Small, len(groups))
	for i, files := range groups {
		items[i] = transfer.Small{BLAKE3: files[0].BLAKE3, Size: files[0].Size}
	}
	var mu sync.Mutex
	var refused []int
	within, full := context.WithCancel(ctx) // nothing more is fetched for a disk that is full
	defer full()
	indices, _ := n.downloads.RunMany(within, transfer.Many{
		Items: items, Workers: min(runtime.GOMAXPROCS(0), maxLanders),
		Take: func(i int, data []byte) {
			known, err := r.landed(ctx, land, groups[i], data)
			if diskFull(err) != nil {
				full()
			}
			if !known {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, i)
			}
		},
		Batch: batch, Peers: peers{n.swarm, n.deny}, Find: r.finder(groups[0][0]), Up: n.up, Down: n.down, Share: r.share,
		Rand: n.random(), Congestion: n.cfg.Congestion,
		Progress: func(p transfer.ManyProgress) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.many = p
			r.lookLocked(time.Now())
		},
	})
	r.mu.Lock()
	r.many = transfer.ManyProgress{}
	r.mu.Unlock()
	for _, i := range append(indices, refused...) {
		left = append(left, groups[i])
	}
	return left
}

// maxLanders is how many goroutines check and write what is fetched together: what is beyond two of them waits for the network.
const maxLanders = 4

// finder names peers that may have the folder, as Node.finder does for one content.
func (r *folderRun) finder(first folder.File) func(int) []netip.AddrPort {
	of := r.node.finder(first.ID(), r.Peers)
	return func(most int) []netip.AddrPort {
		return append(r.node.swarm.Holders.Of(chunk.ID{Kind: chunk.BLAKE3, Hash: r.ID.Hash}), of(most)...)
	}
}

// landed writes a content to all its places; the error, which has been told, is why it is not in all. False: by the other hash it is another one,
// which is found out elsewhere.
func (r *folderRun) landed(ctx context.Context, land *landing, files []folder.File, data []byte) (known bool, err error) {
	if f := files[0]; f.SHA256 != (chunk.Hash{}) && sha256.Sum256(data) != f.SHA256 {
		return false, nil
	}
	for i, f := range files {
		done := FolderFile{File: f, Err: land.put(f, data)}
		if i == 0 && done.Err == nil {
			done.Fetched = f.Size
		}
		if errors.Is(done.Err, ErrExists) { // another process may have brought it meanwhile
			if there, err := r.there(ctx, f); there && err == nil {
				done.Err, done.Existed = nil, true
			}
		}
		err = errors.Join(err, done.Err)
		r.tell(done)
	}
	r.mu.Lock()
	r.placed[files[0].BLAKE3] = err == nil
	r.mu.Unlock()
	return true, err
}
