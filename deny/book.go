package deny

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sharer/chunk"
	"sharer/internal/atomicfile"
)

// Own is the list that Add and Remove change; the others in the folder are their owners'.
const Own = "own.list"

const (
	suffix   = ".list"
	maxLists = 256
)

// Book is a folder of lists, all files whose names end in .list, read again when they change. Its answers come from memory; its
// methods are safe for concurrent use.
type Book struct {
	dir   string
	audit string // file
	set   atomic.Pointer[set]
	hits  sync.Map // name of a list to *atomic.Int64; names are those of lists that were read

	mu    sync.Mutex // of reading and changing
	lists map[string]list
	told  map[string]string // of lists that cannot be read: why, as it was told last
	bad   map[string]chunk.Stamp
	later []error // found by Add and Remove, for the next Reload
}

// list is one as it was read.
type list struct {
	stamp   chunk.Stamp
	entries []Entry
}

// Open reads the lists of a folder, which need not be there. What Add and Remove do is written down in audit.
// errs are lines and lists that could not be read.
func Open(dir, audit string) (b *Book, errs []error) {
	b = &Book{dir: dir, audit: audit, lists: map[string]list{}, told: map[string]string{}, bad: map[string]chunk.Stamp{}}
	b.set.Store(newSet())
	_, errs = b.Reload()
	return b, errs
}

// Reload looks at the folder and reads what is new or has changed; a list that is gone denies nothing any more, one
// that cannot be read stays as it was. It reports whether anything has changed; why a list cannot be read it tells once.
func (b *Book) Reload() (changed bool, errs []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed, errs = b.reload()
	errs, b.later = append(b.later, errs...), nil
	return changed, errs
}

func (b *Book) reload() (changed bool, errs []error) {
	files, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		files, err = nil, nil
	}
	if err != nil {
		return false, []error{err}
	}
	there := map[string]bool{}
	for _, f := range files {
		name := f.Name()
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		if len(there) >= maxLists {
			errs = append(errs, fmt.Errorf("%s: more than %d lists", b.dir, maxLists))
			break
		}
		there[name] = true
		news, bad := b.read(name)
		changed, errs = changed || news, append(errs, bad...)
	}
	for name := range b.lists {
		if !there[name] {
			delete(b.lists, name)
			changed = true
		}
	}
	for name := range b.told {
		if !there[name] {
			delete(b.told, name)
			delete(b.bad, name)
		}
	}
	if !changed {
		return false, errs
	}
	s := newSet()
	for _, name := range b.names() {
		entries := b.lists[name].entries
		var over error
		for i := range entries {
			if err := s.add(&entries[i]); err != nil {
				over = fmt.Errorf("%s: %w", name, err) // the others of the list may be of a kind that has room
			}
		}
		if over != nil {
			errs = append(errs, over)
		}
	}
	b.set.Store(s)
	return true, errs
}

// names are in order, the own list in front: what others write leaves room for it.
func (b *Book) names() (names []string) {
	for name := range b.lists {
		if name != Own {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if _, there := b.lists[Own]; there {
		names = slices.Insert(names, 0, Own)
	}
	return names
}

// read reads a list if it is not what it was.
func (b *Book) read(name string) (changed bool, errs []error) {
	f, stamp, err := chunk.OpenRegular(filepath.Join(b.dir, name))
	if err != nil {
		return false, b.tell(name, err)
	}
	defer f.Close()
	if old, ok := b.lists[name]; ok && old.stamp == stamp {
		return false, nil
	}
	if b.bad[name] == stamp {
		return false, nil
	}
	entries, bad, err := parseList(name, f)
	if err != nil {
		b.bad[name] = stamp
		return false, append(bad, b.tell(name, fmt.Errorf("%s stays as it was: %w", name, err))...)
	}
	delete(b.told, name)
	delete(b.bad, name)
	b.lists[name] = list{stamp: stamp, entries: entries}
	b.hits.LoadOrStore(name, new(atomic.Int64))
	return true, bad
}

// tell says once why a list cannot be read.
func (b *Book) tell(name string, err error) []error {
	if b.told[name] == err.Error() {
		return nil
	}
	b.told[name] = err.Error()
	return []error{err}
}

// Content says whether a content must not be fetched, served or told of, by any of its ids.
func (b *Book) Content(ids ...chunk.ID) (Entry, bool) {
	s := b.set.Load()
	for _, id := range ids {
		if e := s.id(id); e != nil {
			return b.hit(e)
		}
	}
	return Entry{}, false
}

// Key says whether a publisher is denied.
func (b *Book) Key(k [32]byte) (Entry, bool) { return b.hit(b.set.Load().key(k)) }

// Peer says whether an address is denied.
func (b *Book) Peer(a netip.Addr) (Entry, bool) { return b.hit(b.set.Load().peer(a)) }

func (b *Book) hit(e *Entry) (Entry, bool) {
	if e == nil {
		return Entry{}, false
	}
	if n, ok := b.hits.Load(e.List); ok {
		n.(*atomic.Int64).Add(1)
	}
	return *e, true
}

// Hits is how often each list has denied something.
func (b *Book) Hits() map[string]int64 {
	hits := map[string]int64{}
	b.hits.Range(func(name, n any) bool {
		hits[name.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	return hits
}

// Entries are all entries, list by list.
func (b *Book) Entries() (all []Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range b.names() {
		all = append(all, b.lists[name].entries...)
	}
	return all
}

// Add writes an entry into the own list, once, and has it hold at once.
func (b *Book) Add(e Entry, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(e.Line()) >= maxLine {
		return fmt.Errorf("an entry of more than %d bytes with its reason", maxLine)
	}
	lines, err := b.own()
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return sameEntry(line, e) })
	return b.replace(append(lines, e.Line()), "add", e, now)
}

// Remove takes an entry out of the own list, also where only its hash is there: who takes it out wants it carried again. false: it
// is not there.
func (b *Book) Remove(e Entry, now time.Time) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines, err := b.own()
	if err != nil {
		return false, err
	}
	n := len(lines)
	lines = slices.DeleteFunc(lines, func(line string) bool { return sameEntry(line, e) || hashOf(line, e) })
	if len(lines) == n {
		return false, nil
	}
	return true, b.replace(lines, "remove", e, now)
}

func sameEntry(line string, e Entry) bool {
	other, ok, _ := Parse(line)
	return ok && other.String() == e.String()
}

// hashOf says whether a line is the hash that stands for an entry.
func hashOf(line string, e Entry) bool {
	other, ok, _ := Parse(line)
	return ok && other.Kind == Double && e.Kind != Double && other.Hash == DoubleOf(e.String())
}

func (b *Book) own() (lines []string, err error) {
	text, err := os.ReadFile(filepath.Join(b.dir, Own))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Collect(strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n")), nil
}

// replace writes the own list, whole or not at all, then what was done, then has it hold.
func (b *Book) replace(lines []string, what string, e Entry, now time.Time) error {
	if err := WriteList(b.dir, Own, []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		return err
	}
	log, err := os.OpenFile(b.audit, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "%s %s %s\n", now.UTC().Format(time.RFC3339), what, e.Line())
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	_, errs := b.reload()
	b.later = append(b.later, errs...) // of other lists, or of a line that somebody has written by hand
	b.later = b.later[:min(len(b.later), maxErrors)]
	if _, bad := b.told[Own]; bad {
		return fmt.Errorf("%s was written, and cannot be read: %s", Own, b.told[Own])
	}
	return nil
}

// WriteList puts a list into a folder under its final name, whole or not at all.
func WriteList(dir, name string, text []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, name), text, atomicfile.How{})
}
