package chunk

import (
	"encoding/hex"
	"errors"
)

// ErrBadID is returned for a text that is not a content id.
var ErrBadID = errors.New("not a content id")

// Hash is a SHA-256 or BLAKE3 hash, or a BLAKE3 chaining value.
type Hash [32]byte

// String returns 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// AppendText appends 64 lower-case hex digits. The error is always nil.
func (h Hash) AppendText(dst []byte) ([]byte, error) { return hex.AppendEncode(dst, h[:]), nil }

// ParseHash reads exactly 64 hex digits of either case, or returns ErrBadID.
func ParseHash[T ~string | ~[]byte](text T) (Hash, error) {
	var h Hash
	if len(text) != 2*len(h) || !unhex(&h, text, 0) {
		return Hash{}, ErrBadID
	}
	return h, nil
}

// Kind says what the hash of an ID is of. The zero Kind is invalid.
type Kind uint8

const (
	SHA256     Kind = 1 + iota // SHA-256 of the whole content: verified when complete
	BLAKE3                     // BLAKE3 of the whole content: verified block by block
	BLAKE3Tree                 // the hash tree file of the content with that BLAKE3
)

// prefixes of the printed forms, indexed by Kind.
var prefixes = [...]string{SHA256: "", BLAKE3: "blake3/", BLAKE3Tree: "blake3_tree_v2/"}

// shortPrefix is read as BLAKE3's, and never printed.
const shortPrefix = "b3/"

// ID names a content. It is comparable; the zero ID is no id.
type ID struct {
	Kind Kind
	Hash Hash
}

// Valid reports whether the kind of the id is a known one.
func (id ID) Valid() bool { return id.Kind >= SHA256 && id.Kind <= BLAKE3Tree }

// String returns the form that stands on the wire; for an invalid id it is empty.
func (id ID) String() string {
	b, _ := id.AppendText(nil)
	return string(b)
}

// AppendText appends what String returns; ErrBadID for an invalid id.
func (id ID) AppendText(dst []byte) ([]byte, error) {
	if !id.Valid() {
		return dst, ErrBadID
	}
	return id.Hash.AppendText(append(dst, prefixes[id.Kind]...))
}

// ParseID reads "<hex>", "blake3/<hex>", "b3/<hex>" or "blake3_tree_v2/<hex>", hex being 64 digits of either case, and
// nothing else. It does not allocate. The error is ErrBadID.
func ParseID[T ~string | ~[]byte](text T) (ID, error) {
	var id ID
	var prefix string
	switch len(text) - 2*len(id.Hash) {
	case 0:
		id.Kind = SHA256
	case len(shortPrefix):
		id.Kind, prefix = BLAKE3, shortPrefix
	case len(prefixes[BLAKE3]):
		id.Kind, prefix = BLAKE3, prefixes[BLAKE3]
	case len(prefixes[BLAKE3Tree]):
		id.Kind, prefix = BLAKE3Tree, prefixes[BLAKE3Tree]
	default:
		return ID{}, ErrBadID
	}
	for i := range len(prefix) {
		if text[i] != prefix[i] {
			return ID{}, ErrBadID
		}
	}
	if !unhex(&id.Hash, text, len(prefix)) {
		return ID{}, ErrBadID
	}
	return id, nil
}

// unhex decodes the 64 digits of text from offset from. The caller has checked the length.
func unhex[T ~string | ~[]byte](h *Hash, text T, from int) bool {
	for i := range h {
		hi, lo := digit(text[from+2*i]), digit(text[from+2*i+1])
		if hi|lo > 15 {
			return false
		}
		h[i] = hi<<4 | lo
	}
	return true
}

// digit returns the value of a hex digit, 255 for anything else.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
