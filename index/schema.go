package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"

	"sharer/chunk"
)

// The schema. A change of a record or of the meaning of a key takes a new bucket
// name; a file with other buckets than these is moved aside like a damaged one.
//
//	bucket       key               value (integers little-endian)
//	contents.1   BLAKE3 and path   sha256 32 | size 8 | stamp: size 8, mtime 8, ctime 8, ino 8, dev 8 | crc 4
//	places.1     path              blake3 32                                                         | crc 4
//	sha256.1     SHA-256           blake3 32                                                         | crc 4
//
// crc is CRC-32C over the byte of the table, the key, and the value before it.
// contents.1 has a record for each place of a content: a content may have a hundred
// thousand places, one of them is still removed in one step, and the content is
// gone with the last one. The sequence number of each bucket is the number of its
// records: a page that lost some of them would otherwise look whole.
const (
	tableContents = iota
	tablePlaces
	tableSHA256
	tableCount
)

var bucketNames = [tableCount]string{"contents.1", "places.1", "sha256.1"}

const (
	hashLen = len(chunk.Hash{})
	crcLen  = 4

	contentLen = hashLen + 6*8 + crcLen
	hashRefLen = hashLen + crcLen // of places.1 and sha256.1

	// maxPath is bbolt's longest key without the hash in a key of contents.1.
	maxPath = bbolt.MaxKeySize - hashLen
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pageSize of a new file in bytes. Half of a batch's time goes into writing pages one
// by one. 11,500 entries took 150 ms with 4 KiB, 120 with 8, 100 with 16; but hashes
// are scattered, so that in a large index a batch of 1000 writes 2000 pages.
const pageSize = 8 << 10

// errRecord is wrapped by ErrCorrupt wherever it leaves the package.
var errRecord = fmt.Errorf("%w: bad record", ErrCorrupt)

// tables are the buckets of a transaction.
type tables struct {
	contents, places, sha256 *bbolt.Bucket
}

func makeBuckets(tx *bbolt.Tx) error {
	for _, name := range bucketNames {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

func withTables(tx *bbolt.Tx, fn func(tables) error) error {
	var b [tableCount]*bbolt.Bucket
	for i, name := range bucketNames {
		if b[i] = tx.Bucket([]byte(name)); b[i] == nil {
			return fmt.Errorf("%w: no bucket %s", ErrCorrupt, name)
		}
	}
	return fn(tables{b[tableContents], b[tablePlaces], b[tableSHA256]})
}

// validate refuses what cannot be recorded.
func (e *Entry) validate() error {
	switch n := len(e.Place.Path); {
	case n == 0:
		return errors.New("index: place has no path")
	case n > maxPath:
		return fmt.Errorf("index: path of %d bytes, at most %d", n, maxPath)
	case e.Content.Size < 0:
		return fmt.Errorf("index: size %d", e.Content.Size)
	}
	return nil
}

// tableOf returns the table of a bucket name, -1 for none.
func tableOf(name []byte) int {
	for i, n := range bucketNames {
		if string(name) == n {
			return i
		}
	}
	return -1
}

// checkRecord says whether a record is as it was written.
func checkRecord(table int, key, value []byte) error {
	var want int
	var keyOK bool
	switch table {
	case tableContents:
		want, keyOK = contentLen, len(key) > hashLen
	case tablePlaces:
		want, keyOK = hashRefLen, len(key) > 0 && len(key) <= maxPath
	case tableSHA256:
		want, keyOK = hashRefLen, len(key) == hashLen
	}
	if !keyOK || len(value) != want {
		return errRecord
	}
	body := value[:want-crcLen]
	if binary.LittleEndian.Uint32(value[want-crcLen:]) != sum(table, key, body) {
		return errRecord
	}
	if table == tableContents && int64(binary.LittleEndian.Uint64(value[hashLen:])) < 0 {
		return errRecord
	}
	return nil
}

// sum is the checksum of a record.
func sum(table int, key, body []byte) uint32 {
	crc := crc32.Update(0, castagnoli, []byte{byte(table)})
	crc = crc32.Update(crc, castagnoli, key)
	return crc32.Update(crc, castagnoli, body)
}

// seal appends the checksum to dst, whose bytes from start on are the value.
func seal(dst []byte, start, table int, key []byte) []byte {
	return binary.LittleEndian.AppendUint32(dst, sum(table, key, dst[start:]))
}

// contentKey is the key of contents.1.
func contentKey(blake3 chunk.Hash, path string) []byte {
	return append(append(make([]byte, 0, hashLen+len(path)), blake3[:]...), path...)
}

// appendContent appends the value of contents.1.
func appendContent(dst, key []byte, e *Entry) []byte {
	start, s := len(dst), &e.Place.Stamp
	dst = append(dst, e.Content.SHA256[:]...)
	for _, n := range [...]uint64{uint64(e.Content.Size), uint64(s.Size), uint64(s.Mtime), uint64(s.Ctime), s.Ino, s.Dev} {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return seal(dst, start, tableContents, key)
}

func decodeContent(key, value []byte) (Entry, error) {
	if err := checkRecord(tableContents, key, value); err != nil {
		return Entry{}, err
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(value[hashLen+8*i:]) }
	return Entry{
		Content{SHA256: chunk.Hash(value[:hashLen]), BLAKE3: chunk.Hash(key[:hashLen]), Size: int64(n(0))},
		Place{
			Path:  string(key[hashLen:]),
			Stamp: chunk.Stamp{Size: int64(n(1)), Mtime: int64(n(2)), Ctime: int64(n(3)), Ino: n(4), Dev: n(5)},
		},
	}, nil
}

// appendHashRef appends the value of places.1 or sha256.1.
func appendHashRef(dst []byte, table int, key []byte, blake3 *chunk.Hash) []byte {
	start := len(dst)
	return seal(append(dst, blake3[:]...), start, table, key)
}

func decodeHashRef(table int, key, value []byte) (blake3 chunk.Hash, err error) {
	if err := checkRecord(table, key, value); err != nil {
		return chunk.Hash{}, err
	}
	return chunk.Hash(value[:hashLen]), nil
}
