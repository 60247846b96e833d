package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/control"
	"sharer/index"
	"sharer/link"
	"sharer/store"
)

// Pin is a content that is not to be removed.
type Pin struct {
	ID    string    `json:"id"` // as of an item
	Name  string    `json:"name,omitempty"`
	Added time.Time `json:"added"`
}

// Items lists what is seeded, fetched, stored and mirrored.
func (d *Daemon) Items() []control.Item {
	return append(d.own(), d.mirrorItems()...)
}

// own are the items that the commands for items change; a mirror has its own.
func (d *Daemon) own() []control.Item {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.itemsLocked()
}

func (d *Daemon) itemsLocked() []control.Item {
	s := d.saved
	s.Seeds = d.seeds
	items := itemsOf(s)
	for i := range items {
		d.liveLocked(&items[i])
	}
	if st := d.Store(); st != nil {
		for _, e := range st.List() {
			id := chunk.ID{Kind: chunk.BLAKE3, Hash: e.Sums.BLAKE3}
			items = append(items, control.Item{Kind: "kept", Name: e.Name, ID: id.String(), State: "seeding", Size: e.Sums.Size, Have: e.Sums.Size,
				Up: d.Served(e.Path), Peers: d.Holders(id), Added: e.Added})
		}
	}
	pin(items, d.saved.Pins)
	return items
}

// itemsOf are the items as they are kept.
func itemsOf(s saved) []control.Item {
	items := make([]control.Item, 0, len(s.Seeds)+len(s.Jobs))
	for _, seed := range s.Seeds {
		items = append(items, seed.item())
	}
	for _, j := range s.Jobs {
		items = append(items, j.item())
	}
	pin(items, s.Pins)
	return items
}

func pin(items []control.Item, pins []Pin) {
	if len(pins) == 0 {
		return
	}
	names := make(map[string]string, len(pins))
	for _, p := range pins {
		names[p.ID] = p.Name
	}
	for i := range items {
		items[i].Pin, items[i].Pinned = names[items[i].ID]
	}
}

func (s *Seed) item() control.Item {
	it := control.Item{Kind: "seed", Name: filepath.Base(string(s.Path)), Path: s.Path, State: "seeding", Files: s.Files, Size: s.Bytes, Have: s.Bytes, Added: s.Added}
	if s.Files == 0 { // it is gone, or all that was in it is
		it.State = "empty"
	}
	if s.ID.Valid() {
		it.ID = s.ID.String()
	}
	if s.Folder != "" {
		it.ID, it.Name, it.Listed = "folder/"+s.Folder, it.Name+"/", s.Listed
	}
	return it
}

func (j *Job) item() control.Item {
	it := control.Item{Kind: "get", Job: j.ID, Name: filepath.Base(string(j.Fetch.Path)), Path: j.Fetch.Path, State: string(j.State), Error: j.Error, Size: j.Size, Have: j.Have, Added: j.Added}
	if j.Fetch.ID.Valid() {
		it.ID = j.Fetch.ID.String()
	}
	if j.Fetch.Folder != nil {
		it.ID = "folder/" + j.Fetch.ID.Hash.String()
		if j.Fetch.Folder.Into { // its manifest will tell its name
			it.Name = j.Fetch.Title
		}
		it.Name += "/"
	}
	if j.State == JobDone && j.keeps() {
		it.State = "seeding"
	}
	return it
}

// liveLocked adds what changes while it runs.
func (d *Daemon) liveLocked(it *control.Item) {
	it.Up = d.Served(string(it.Path))
	if id := contentID(it.ID); id.Valid() {
		it.Peers = d.Holders(id)
	}
	if it.Kind == "seed" && d.hashing[string(it.Path)] > 0 {
		it.State = "hashing"
	}
	if r := d.running[it.Job]; r != nil {
		if p := r.look(); p != nil {
			it.Size, it.Have, it.Rate, it.Peers, it.State, it.Files = p.Total, p.Done, p.Rate, p.Peers, string(p.State), p.FilesTotal
		}
	}
}

// find returns the items that are meant by an id, a link, a path, the number of a job, or a name if one item alone has it.
func find(items []control.Item, what, abs string) ([]control.Item, error) {
	pick := func(is func(control.Item) bool) (out []control.Item) {
		for _, it := range items {
			if is(it) {
				out = append(out, it)
			}
		}
		return out
	}
	if found := pick(func(it control.Item) bool { return it.Job != "" && it.Job == what }); len(found) > 0 {
		return found, nil
	}
	if id := idOf(what); id != "" {
		if found := pick(func(it control.Item) bool { return it.ID == id }); len(found) > 0 {
			return found, nil
		}
	}
	if head, tail, ok := strings.Cut(what, ".."); ok && strings.Contains(head, "/") { // as ls shortens it
		if found := pick(func(it control.Item) bool { return strings.HasPrefix(it.ID, head) && strings.HasSuffix(it.ID, tail) }); len(found) == 1 {
			return found, nil
		}
	}
	if found := pick(func(it control.Item) bool {
		return it.Path != "" && (string(it.Path) == what || string(it.Path) == abs)
	}); len(found) > 0 {
		return found, nil
	}
	if _, err := os.Lstat(abs); err == nil && filepath.IsAbs(abs) { // the same by another way, as through a link
		real := resolved(abs)
		if found := pick(func(it control.Item) bool { return it.Path != "" && resolved(string(it.Path)) == real }); len(found) > 0 {
			return found, nil
		}
	}
	found := pick(func(it control.Item) bool { return strings.TrimSuffix(it.Name, "/") == strings.TrimSuffix(what, "/") })
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%q: %w", what, control.ErrUnknown)
	case 1:
		return found, nil
	}
	return nil, fmt.Errorf("%w: %d items are called %q; name one by its path or its id", control.ErrBad, len(found), what)
}

// idOf is the id of a link as items have it, "" if what is none.
func idOf(what string) string {
	if rest, ok := strings.CutPrefix(what, "folder/"); ok {
		if h, err := chunk.ParseHash(rest); err == nil {
			return "folder/" + h.String()
		}
	}
	l, err := link.Parse(what)
	switch {
	case err != nil || !l.ID.Valid():
		return ""
	case l.Folder:
		return "folder/" + l.ID.Hash.String()
	}
	return l.ID.String()
}

// Files lists the files of one item.
func (d *Daemon) Files(what string, each func(control.File) error) error {
	items, err := find(d.own(), what, what)
	if err != nil {
		return err
	}
	it := items[0]
	if it.Path == "" {
		k, err := d.Know(it.ID)
		if err != nil {
			return err
		}
		return each(control.File{Path: control.Path(it.Name), Size: k.Size, BLAKE3: k.BLAKE3, SHA256: k.SHA256})
	}
	root, err := filepath.EvalSymlinks(string(it.Path)) // files lie by the path behind the links of the root itself
	if err != nil {
		root = string(it.Path)
	}
	return d.Under(root, func(e index.Entry) error {
		rel, err := filepath.Rel(root, e.Place.Path)
		if err != nil || rel == "." {
			rel = filepath.Base(e.Place.Path)
		}
		return each(control.File{Path: control.Path(filepath.ToSlash(rel)), Size: e.Content.Size, BLAKE3: e.Content.BLAKE3, SHA256: e.Content.SHA256})
	})
}

// Know is what is known of a content, or of what an item has.
func (d *Daemon) Know(what string) (control.Known, error) {
	k := control.Known{Size: -1}
	items, err := find(d.Items(), what, what)
	if err != nil && !errors.Is(err, control.ErrUnknown) {
		return k, err
	}
	k.Items = items
	id := idOf(what)
	if len(items) > 0 {
		id, k.Size = items[0].ID, items[0].Size
	}
	k.ID = id
	content := contentID(id)
	if !content.Valid() {
		return k, err
	}
	k.Holders = d.Holders(content)
	c, places, lerr := d.Lookup(content)
	switch {
	case lerr == nil:
		k.BLAKE3, k.SHA256 = c.BLAKE3, c.SHA256
		if !strings.HasPrefix(id, "folder/") {
			k.Size = c.Size
			for _, p := range places {
				k.Paths = append(k.Paths, control.Path(p.Path))
			}
		} else {
			k.Page = c.Size
		}
	case content.Kind == chunk.SHA256:
		k.SHA256 = content.Hash
	default:
		k.BLAKE3 = content.Hash
	}
	if lerr != nil && len(items) == 0 && k.Holders == 0 {
		return k, fmt.Errorf("%s: %w", id, control.ErrUnknown)
	}
	return k, nil
}

// contentID is the content that an item's id names: of a folder, its first page.
func contentID(id string) chunk.ID {
	if rest, ok := strings.CutPrefix(id, "folder/"); ok {
		if h, err := chunk.ParseHash(rest); err == nil {
			return chunk.ID{Kind: chunk.BLAKE3, Hash: h}
		}
	}
	c, err := chunk.ParseID(id)
	if err != nil {
		return chunk.ID{}
	}
	return c
}

// pinnedBy is whom the store keeps a content for.
const pinnedBy = "user"

// Pin keeps items from being removed, by a command or for room.
func (d *Daemon) Pin(c control.Change) (control.Changed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	items, err := find(d.itemsLocked(), c.What, string(c.Abs))
	if err != nil {
		return control.Changed{}, err
	}
	id := items[0].ID
	if id == "" {
		return control.Changed{}, fmt.Errorf("%q has no id yet: %w", c.What, control.ErrUnknown)
	}
	old := slices.Clone(d.saved.Pins)
	d.saved.Pins = slices.DeleteFunc(d.saved.Pins, func(p Pin) bool { return p.ID == id })
	d.saved.Pins = append(d.saved.Pins, Pin{ID: id, Name: c.Name, Added: time.Now().UTC().Truncate(time.Second)})
	if err := d.saveLocked(); err != nil {
		d.saved.Pins = old
		return control.Changed{}, err
	}
	if st := d.Store(); st != nil && st.Has(contentID(id)) {
		if err := st.Pin(contentID(id), pinnedBy); err != nil {
			return control.Changed{}, err
		}
	}
	items, err = find(d.itemsLocked(), c.What, string(c.Abs))
	return control.Changed{Items: items}, err
}

// Unpin ends that.
func (d *Daemon) Unpin(c control.Change) (control.Changed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := idOf(c.What)
	if items, err := find(d.itemsLocked(), c.What, string(c.Abs)); err == nil {
		id = items[0].ID
	}
	i := slices.IndexFunc(d.saved.Pins, func(p Pin) bool { return p.ID == id || p.Name != "" && p.Name == c.What })
	if i < 0 {
		return control.Changed{}, fmt.Errorf("%q is not pinned: %w", c.What, control.ErrUnknown)
	}
	id = d.saved.Pins[i].ID
	d.saved.Pins = slices.Delete(d.saved.Pins, i, i+1)
	if st := d.Store(); st != nil && st.Has(contentID(id)) {
		if err := st.Unpin(contentID(id), pinnedBy); err != nil && !errors.Is(err, store.ErrNotFound) {
			return control.Changed{}, err
		}
	}
	return control.Changed{}, d.saveLocked()
}
