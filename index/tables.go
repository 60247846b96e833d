package index

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"sharer/chunk"
)

// The reading half. What bbolt returns lives as long as the transaction: everything
// is copied out. A table that lacks what another one names would be damage that no
// checksum shows; it counts as ErrNotFound, and the next Put mends it.

// hashRef reads a record of places.1 or sha256.1.
func hashRef(b *bbolt.Bucket, table int, key []byte) (chunk.Hash, error) {
	v := b.Get(key)
	if v == nil {
		return chunk.Hash{}, ErrNotFound
	}
	return decodeHashRef(table, key, v)
}

// holders returns at most n entries of a content, in the order of their paths.
func (t tables) holders(blake3 chunk.Hash, n int) (es []Entry, err error) {
	c := t.contents.Cursor()
	for k, v := c.Seek(blake3[:]); bytes.HasPrefix(k, blake3[:]) && len(es) < n; k, v = c.Next() {
		e, err := decodeContent(k, v)
		if err != nil {
			return nil, err
		}
		es = append(es, e)
	}
	if len(es) == 0 {
		return nil, ErrNotFound
	}
	return es, nil
}

// entry returns what was last seen at a path.
func (t tables) entry(path string) (Entry, error) {
	blake3, err := hashRef(t.places, tablePlaces, []byte(path))
	if err != nil {
		return Entry{}, err
	}
	return t.entryOf(blake3, path)
}

func (t tables) entryOf(blake3 chunk.Hash, path string) (Entry, error) {
	key := contentKey(blake3, path)
	v := t.contents.Get(key)
	if v == nil {
		return Entry{}, ErrNotFound
	}
	return decodeContent(key, v)
}

// entries returns at most n entries whose paths are not before from and begin with
// prefix.
func (t tables) entries(from []byte, prefix string, n int) (es []Entry, err error) {
	c := t.places.Cursor()
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, []byte(prefix)) && len(es) < n; k, v = c.Next() {
		blake3, err := decodeHashRef(tablePlaces, k, v)
		if err != nil {
			return nil, err
		}
		e, err := t.entryOf(blake3, string(k))
		if err == ErrNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		es = append(es, e)
	}
	return es, nil
}

// countContents counts the contents. It reads the whole table.
func (t tables) countContents() int {
	n := 0
	var last []byte
	c := t.contents.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if last == nil || !bytes.HasPrefix(k, last) {
			n++
		}
		last = k[:hashLen]
	}
	return n
}

// The writing half. Keys are put in their order, table by table: a batch of 1000
// then touches each page once, and bbolt finds its way through warm pages.

// pair is a record to be put; both slices live until the commit.
type pair struct{ key, value []byte }

func putSorted(b *bbolt.Bucket, pairs []pair) error {
	slices.SortFunc(pairs, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	for _, p := range pairs {
		if err := b.Put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// grow changes the number of records that a table says it has.
func grow(b *bbolt.Bucket, by int) error {
	if by == 0 {
		return nil
	}
	return b.SetSequence(b.Sequence() + uint64(by))
}

// remove deletes a record that is there.
func remove(b *bbolt.Bucket, key []byte) error {
	if err := b.Delete(key); err != nil {
		return err
	}
	return grow(b, -1)
}

func (t tables) put(entries []Entry) error {
	// Of two entries for one path the later one counts: a stable sort keeps their order.
	es := make([]*Entry, len(entries))
	for i := range entries {
		es[i] = &entries[i]
	}
	slices.SortStableFunc(es, func(x, y *Entry) int { return cmp.Compare(x.Place.Path, y.Place.Path) })
	contents := make([]pair, 0, len(es))
	refs := make([]pair, 0, len(es))
	buf := make([]byte, 0, len(es)*(contentLen+2*hashRefLen))
	var left []Content // what some path has left
	fresh, moved := 0, 0
	for i, e := range es {
		if i+1 < len(es) && es[i+1].Place.Path == e.Place.Path {
			continue
		}
		old, err := t.entry(e.Place.Path)
		switch {
		case err == nil && old == *e:
			continue
		case err == nil && old.Content != e.Content:
			if err := remove(t.contents, contentKey(old.Content.BLAKE3, e.Place.Path)); err != nil {
				return err
			}
			moved++
			left = append(left, old.Content)
		case err == ErrNotFound:
			fresh++
		case err != nil:
			return err
		}
		key := contentKey(e.Content.BLAKE3, e.Place.Path)
		from := len(buf)
		buf = appendContent(buf, key, e)
		contents = append(contents, pair{key, buf[from:]})

		from = len(buf)
		buf = appendHashRef(buf, tablePlaces, key[hashLen:], &e.Content.BLAKE3)
		if err := t.places.Put(key[hashLen:], buf[from:]); err != nil {
			return err
		}
		from = len(buf)
		buf = appendHashRef(buf, tableSHA256, e.Content.SHA256[:], &e.Content.BLAKE3)
		refs = append(refs, pair{e.Content.SHA256[:], buf[from:]})
	}
	if err := putSorted(t.contents, contents); err != nil {
		return err
	}
	if err := errors.Join(grow(t.places, fresh), grow(t.contents, fresh+moved)); err != nil {
		return err
	}
	if err := t.dropUnheld(left); err != nil {
		return err
	}
	return t.putRefs(refs)
}

// putRefs writes sha256.1.
func (t tables) putRefs(refs []pair) error {
	slices.SortStableFunc(refs, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	fresh := 0
	for _, r := range refs {
		old := t.sha256.Get(r.key)
		if bytes.Equal(old, r.value) {
			continue
		}
		if old == nil {
			fresh++
		}
		if err := t.sha256.Put(r.key, r.value); err != nil {
			return err
		}
	}
	return grow(t.sha256, fresh)
}

// dropUnheld removes the way from the sha256 of contents that have no place any more.
func (t tables) dropUnheld(left []Content) error {
	for _, c := range left {
		if k, _ := t.contents.Cursor().Seek(c.BLAKE3[:]); bytes.HasPrefix(k, c.BLAKE3[:]) {
			continue
		}
		blake3, err := hashRef(t.sha256, tableSHA256, c.SHA256[:])
		if err == ErrNotFound || err == nil && blake3 != c.BLAKE3 {
			continue
		}
		if err != nil {
			return err
		}
		if err := remove(t.sha256, c.SHA256[:]); err != nil {
			return err
		}
	}
	return nil
}

func (t tables) forget(path string) error {
	e, err := t.entry(path)
	if err == ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := remove(t.places, []byte(path)); err != nil {
		return err
	}
	if err := remove(t.contents, contentKey(e.Content.BLAKE3, path)); err != nil {
		return err
	}
	return t.dropUnheld([]Content{e.Content})
}
