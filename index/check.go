package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The layout of a bbolt file (version 2), integers in the byte order of the machine:
//
//	page      id 8 | flags 2 | count 2 | overflow 4 | elements and data; (1 + overflow) pages long
//	meta      magic 4 | version 4 | page size 4 | flags 4 | root 8 | sequence 8 | freelist 8 | pages 8 | txid 8 | FNV-1a of that 8
//	branch    pos 4 | key length 4 | page 8            pos counts from the element itself
//	leaf      flags 4 | pos 4 | key length 4 | value length 4
//	bucket    a leaf with flag 1; value: root page 8 | sequence 8, and with root 0 the only page of the bucket itself
//	freelist  page ids 8 each; with count 0xFFFF the first one is their number
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16
	elementLen  = 16
	metaLen     = 64
	flagBranch  = 1
	flagLeaf    = 2
	flagFree    = 16
	flagBucket  = 1
	noFreelist  = ^uint64(0)
	minPageSize = 1 << 10
	maxPageSize = 64 << 10

	// maxDepth of a tree of pages: with two keys in each it would hold 2^32 of them.
	maxDepth = 32
)

var order = binary.NativeEndian

// checker reads a bbolt file as a stranger would: every number is checked against the
// file before it is used, and no page is visited twice, so it ends, and its memory
// is one bit a page and one page a level.
type checker struct {
	f        io.ReaderAt
	pageSize int
	pages    uint64   // pages in use, the metas included
	seen     []uint64 // bitmap of visited pages
	records  [tableCount]uint64
}

// meta is the root of one of the last two states of the file.
type meta struct {
	root, freelist, pages, txid uint64
}

// check returns nil for an empty file and for one that bbolt can be trusted with: the
// tree, the free pages, and every record. Otherwise ErrCorrupt, with what was wrong.
func check(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() == 0 {
		return nil
	}
	if err := checkFile(f, fi.Size()); err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return nil
}

func checkFile(f io.ReaderAt, size int64) error {
	c := &checker{f: f}
	m, err := c.newestMeta()
	if err != nil {
		return err
	}
	if m.pages < 2 || m.pages > uint64(size)/uint64(c.pageSize) {
		return fmt.Errorf("%d pages in a file of %d bytes", m.pages, size)
	}
	c.pages = m.pages
	c.seen = make([]uint64, (m.pages+63)/64)
	c.seen[0] = 3 // both metas
	if err := c.tree(m.root, tableCount, 0, nil, nil); err != nil {
		return err
	}
	return c.freelist(m.freelist)
}

// newestMeta returns the meta that bbolt would use, and learns the page size.
func (c *checker) newestMeta() (meta, error) {
	m0, size0, ok0 := c.readMeta(0)
	if !ok0 {
		size0 = pageSize
	}
	m1, size1, ok1 := c.readMeta(int64(size0))
	c.pageSize = size0
	switch {
	case !ok0 && !ok1:
		return meta{}, fmt.Errorf("no valid meta page")
	case ok1 && size1 != size0:
		return meta{}, fmt.Errorf("page sizes %d and %d", size0, size1)
	case ok0 && (!ok1 || m0.txid > m1.txid):
		return m0, nil
	}
	return m1, nil
}

func (c *checker) readMeta(off int64) (m meta, pageSize int, ok bool) {
	var b [pageHeader + metaLen + 8]byte
	if _, err := c.f.ReadAt(b[:pageHeader+metaLen], off); err != nil {
		return meta{}, 0, false
	}
	p := b[pageHeader:]
	h := fnv.New64a()
	h.Write(p[:metaLen-8])
	pageSize = int(order.Uint32(p[8:]))
	ok = order.Uint32(p) == boltMagic && order.Uint32(p[4:]) == boltVersion && h.Sum64() == order.Uint64(p[metaLen-8:]) &&
		pageSize >= minPageSize && pageSize <= maxPageSize && pageSize&(pageSize-1) == 0
	return meta{order.Uint64(p[16:]), order.Uint64(p[32:]), order.Uint64(p[40:]), order.Uint64(p[48:])}, pageSize, ok
}

// read returns a page with its overflow, and marks it as visited.
func (c *checker) read(id uint64) ([]byte, error) {
	var head [pageHeader]byte
	if id < 2 || id >= c.pages {
		return nil, fmt.Errorf("page %d of %d", id, c.pages)
	}
	off := int64(id) * int64(c.pageSize)
	if _, err := c.f.ReadAt(head[:], off); err != nil {
		return nil, err
	}
	if order.Uint64(head[:]) != id {
		return nil, fmt.Errorf("page %d says that it is %d", id, order.Uint64(head[:]))
	}
	n := 1 + uint64(order.Uint32(head[12:]))
	if n > c.pages-id {
		return nil, fmt.Errorf("page %d is %d pages long", id, n)
	}
	for i := id; i < id+n; i++ {
		if c.visited(i) {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		c.seen[i/64] |= 1 << (i % 64)
	}
	page := make([]byte, int64(n)*int64(c.pageSize))
	_, err := c.f.ReadAt(page, off)
	return page, err
}

func (c *checker) visited(id uint64) bool { return c.seen[id/64]>>(id%64)&1 != 0 }

// tree checks the pages of one table (tableCount: the root, whose records are the
// tables) below page id. Its keys must not be before low nor reach high, nil: no bound.
func (c *checker) tree(id uint64, table, depth int, low, high []byte) error {
	if depth == maxDepth {
		return fmt.Errorf("page %d lies too deep", id)
	}
	page, err := c.read(id)
	if err != nil {
		return err
	}
	switch flags := order.Uint16(page[8:]); flags {
	case flagLeaf:
		if err := c.leaf(page, table, depth, low, high); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		return nil
	case flagBranch:
		return c.branch(page, id, table, depth, low, high)
	default:
		return fmt.Errorf("page %d is of kind %#x", id, flags)
	}
}

func (c *checker) branch(page []byte, id uint64, table, depth int, low, high []byte) error {
	count := int(order.Uint16(page[10:]))
	if count == 0 || pageHeader+count*elementLen > len(page) {
		return fmt.Errorf("page %d has %d branches", id, count)
	}
	keys := make([][]byte, count, count+1)
	for i := range keys {
		at := pageHeader + i*elementLen
		key, _, err := element(page, at, order.Uint32(page[at:]), order.Uint32(page[at+4:]), 0)
		if err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		if err := inOrder(key, i, low, high); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		keys[i], low = key, key
	}
	keys = append(keys, high)
	for i := range count {
		child := order.Uint64(page[pageHeader+i*elementLen+8:])
		if err := c.tree(child, table, depth+1, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) leaf(page []byte, table, depth int, low, high []byte) error {
	count := int(order.Uint16(page[10:]))
	if pageHeader+count*elementLen > len(page) {
		return fmt.Errorf("%d records", count)
	}
	for i := range count {
		at := pageHeader + i*elementLen
		e := page[at:]
		key, value, err := element(page, at, order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:]))
		if err != nil {
			return err
		}
		if err := inOrder(key, i, low, high); err != nil {
			return err
		}
		low = key
		flags := order.Uint32(e)
		switch {
		case table == tableCount && flags == flagBucket:
			err = c.bucket(key, value, depth)
		case table != tableCount && flags == 0:
			err = checkRecord(table, key, value)
			c.records[table]++
		default:
			err = fmt.Errorf("record with flags %#x", flags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks one table: a root page of its own, or one inside its record.
func (c *checker) bucket(name, value []byte, depth int) error {
	table := tableOf(name)
	if table < 0 {
		return fmt.Errorf("unknown table %.40q", name)
	}
	if len(value) < pageHeader {
		return fmt.Errorf("table %s of %d bytes", name, len(value))
	}
	root, count := order.Uint64(value), order.Uint64(value[8:])
	if root != 0 {
		if err := c.tree(root, table, depth+1, nil, nil); err != nil {
			return err
		}
	} else {
		page := value[16:]
		if len(page) < pageHeader || order.Uint16(page[8:]) != flagLeaf {
			return fmt.Errorf("table %s has no page", name)
		}
		if err := c.leaf(page, table, depth+1, nil, nil); err != nil {
			return err
		}
	}
	if c.records[table] != count {
		return fmt.Errorf("table %s has %d records of %d", name, c.records[table], count)
	}
	return nil
}

// element cuts the key and the value of the element at byte at out of a page.
func element(page []byte, at int, pos, keyLen, valueLen uint32) (key, value []byte, err error) {
	from := uint64(at) + uint64(pos)
	mid := from + uint64(keyLen)
	to := mid + uint64(valueLen)
	if keyLen == 0 || to > uint64(len(page)) {
		return nil, nil, fmt.Errorf("record from %d to %d in %d bytes", from, to, len(page))
	}
	return page[from:mid], page[mid:to], nil
}

// inOrder checks key i of a page: behind the one before it (low), or, if it is the
// first, not before what the parent says; and before high.
func inOrder(key []byte, i int, low, high []byte) error {
	cmp := bytes.Compare(low, key)
	if cmp > 0 || cmp == 0 && i > 0 || high != nil && bytes.Compare(key, high) >= 0 {
		return fmt.Errorf("key %d is out of order", i)
	}
	return nil
}

// freelist checks that what bbolt takes for free is not in use: it would be
// overwritten.
func (c *checker) freelist(id uint64) error {
	if id == noFreelist {
		return fmt.Errorf("no list of free pages")
	}
	page, err := c.read(id)
	if err != nil {
		return err
	}
	if flags := order.Uint16(page[8:]); flags != flagFree {
		return fmt.Errorf("list of free pages is of kind %#x", flags)
	}
	n, ids := uint64(order.Uint16(page[10:])), page[pageHeader:]
	if n == 0xFFFF {
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return fmt.Errorf("%d free pages", n)
	}
	for i := range n {
		free := order.Uint64(ids[8*i:])
		if free < 2 || free >= c.pages || c.visited(free) {
			return fmt.Errorf("page %d is said to be free", free)
		}
		c.seen[free/64] |= 1 << (free % 64)
	}
	return nil
}
