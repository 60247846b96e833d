// Package deny knows what an operator will not carry: contents, folders, publishers, peers.
//
// A list is a text file of one entry a line, "#" begins what is for people:
//
//	blake3/<64 hex>          a content, as any of its ids
//	sha256/<64 hex>
//	folder/<64 hex>          a folder, and its manifest; not the files in it
//	//<64 hex>               SHA-256 of one of the lines above: who reads the list does not learn where to look
//	key/<64 hex>             a publisher: names and folders that it has signed
//	peer/<address or CIDR>   is not asked and not answered
//
//	blake3/3f2a…  # reason=malware ref=case-17 legal=DE
//
// Behind the "#" of an entry reason=, ref= and legal= are read, each up to the next of them; legal makes HTTP answer 451.
//
// What it promises:
//   - A line that cannot be read denies nothing, is told with its number, and its neighbours hold.
//   - A list that cannot be read any more stays as it was: a full disk or a slip of permissions opens nothing.
//   - Lists are data. At most [MaxEntries] entries are held; some 300 bytes each.
//
// What it does not: it does not fetch lists, nor delete what it denies.
package deny

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"sharer/chunk"
)

const (
	MaxEntries = 1_000_000 // of all lists together
	MaxList    = 128 << 20 // bytes of one list
	maxLine    = 4096
	maxErrors  = 20 // of one list that are told
)

// Kind is what an entry denies.
type Kind uint8

// The kinds of entries.
const (
	Content Kind = iota + 1 // by an id
	Folder
	Double // by the hash of an id's text
	Key
	Peer
)

// Entry is one line.
type Entry struct {
	Kind   Kind
	ID     chunk.ID // of Content; of Folder its manifest by BLAKE3
	Hash   [32]byte // of Double and Key
	Peer   netip.Prefix
	Reason string
	Ref    string
	Legal  string // not empty: for this law
	List   string // the name of the list
}

// String is the entry without what people wrote, as in a list.
func (e Entry) String() string {
	switch e.Kind {
	case Content:
		return textOf(e.ID)
	case Folder:
		return "folder/" + e.ID.Hash.String()
	case Double:
		return "//" + chunk.Hash(e.Hash).String()
	case Key:
		return "key/" + chunk.Hash(e.Hash).String()
	case Peer:
		return "peer/" + e.Peer.String()
	}
	return ""
}

// Line is the entry as a list has it.
func (e Entry) Line() string {
	line := e.String()
	for _, note := range []struct{ key, value string }{{"reason", e.Reason}, {"ref", e.Ref}, {"legal", e.Legal}} {
		if value := strings.Join(strings.Fields(note.value), " "); value != "" {
			if !strings.Contains(line, "#") {
				line += "  #"
			}
			line += " " + note.key + "=" + value
		}
	}
	return line
}

// Parse reads one line; ok is false of a line without an entry.
func Parse(line string) (e Entry, ok bool, err error) {
	text, note, _ := strings.Cut(line, "#")
	if text = strings.TrimSpace(text); text == "" {
		return Entry{}, false, nil
	}
	e.Reason, e.Ref, e.Legal = parseNote(note)
	kind, value, _ := strings.Cut(text, "/")
	switch strings.ToLower(kind) {
	case "":
		e.Kind = Double
		e.Hash, err = parseHex(strings.TrimPrefix(value, "/"))
		if !strings.HasPrefix(value, "/") {
			err = errBadEntry
		}
	case "blake3", "b3":
		e.Kind, e.ID.Kind = Content, chunk.BLAKE3
		e.ID.Hash, err = parseHex(value)
	case "sha256":
		e.Kind, e.ID.Kind = Content, chunk.SHA256
		e.ID.Hash, err = parseHex(value)
	case "folder":
		e.Kind, e.ID.Kind = Folder, chunk.BLAKE3
		e.ID.Hash, err = parseHex(value)
	case "key":
		e.Kind = Key
		e.Hash, err = parseHex(strings.TrimPrefix(strings.ToLower(value), "0x"))
	case "peer":
		e.Kind = Peer
		e.Peer, err = parsePeer(value)
	default:
		err = errBadEntry
	}
	return e, err == nil, err
}

var errBadEntry = errors.New("is not blake3/, sha256/, folder/, key/, peer/ or // and what belongs to it")

func parseHex(text string) (h chunk.Hash, err error) {
	if h, err = chunk.ParseHash(strings.ToLower(text)); err != nil {
		return h, errors.New("does not have 64 hex digits")
	}
	return h, nil
}

func parsePeer(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return unmap(p.Masked()), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errors.New("is no address and no CIDR")
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// parseNote finds reason=, ref= and legal= among the words; each goes on to the next of them.
func parseNote(note string) (reason, ref, legal string) {
	var into *string
	for word := range strings.FieldsSeq(note) {
		key, rest, ok := strings.Cut(word, "=")
		if ok {
			switch key {
			case "reason":
				into, word = &reason, rest
			case "ref":
				into, word = &ref, rest
			case "legal":
				into, word = &legal, rest
			}
		}
		if into == nil {
			continue
		}
		if *into != "" {
			*into += " "
		}
		*into += word
	}
	return reason, ref, legal
}

// set is what all lists deny. It does not change once it is made.
type set struct {
	ids     map[chunk.ID]*Entry
	folders map[chunk.Hash]*Entry
	doubles map[[32]byte]*Entry
	keys    map[[32]byte]*Entry
	peers   []*Entry // looked at one after the other
	n       int
}

// maxPeers bounds the entries that are looked at one after the other for each datagram of a stranger.
const maxPeers = 1000

func newSet() *set {
	return &set{ids: map[chunk.ID]*Entry{}, folders: map[chunk.Hash]*Entry{}, doubles: map[[32]byte]*Entry{}, keys: map[[32]byte]*Entry{}}
}

func (s *set) add(e *Entry) error {
	if s.n >= MaxEntries {
		return fmt.Errorf("more than %d entries in all lists", MaxEntries)
	}
	s.n++
	switch e.Kind {
	case Content:
		s.ids[e.ID] = e
	case Folder:
		s.folders[e.ID.Hash] = e
	case Double:
		s.doubles[e.Hash] = e
	case Key:
		s.keys[e.Hash] = e
	case Peer:
		if len(s.peers) >= maxPeers {
			return fmt.Errorf("more than %d peers", maxPeers)
		}
		s.peers = append(s.peers, e)
	}
	return nil
}

// id finds what denies a content, or a folder by its manifest.
func (s *set) id(id chunk.ID) *Entry {
	if id.Kind == chunk.BLAKE3Tree {
		id.Kind = chunk.BLAKE3
	}
	if e := s.ids[id]; e != nil {
		return e
	}
	if id.Kind == chunk.BLAKE3 {
		if e := s.folders[id.Hash]; e != nil {
			return e
		}
	}
	if len(s.doubles) == 0 {
		return nil
	}
	if id.Kind == chunk.BLAKE3 {
		if e := s.doubles[DoubleOf("folder/"+id.Hash.String())]; e != nil {
			return e
		}
	}
	return s.doubles[DoubleOf(textOf(id))]
}

// textOf is an id as a line of a list.
func textOf(id chunk.ID) string {
	if id.Kind == chunk.SHA256 {
		return "sha256/" + id.Hash.String()
	}
	return "blake3/" + id.Hash.String()
}

// DoubleOf is the hash that stands for the line of an entry.
func DoubleOf(line string) [32]byte { return sha256.Sum256([]byte(line)) }

func (s *set) key(k [32]byte) *Entry {
	if e := s.keys[k]; e != nil {
		return e
	}
	if len(s.doubles) == 0 {
		return nil
	}
	return s.doubles[DoubleOf("key/"+chunk.Hash(k).String())]
}

func (s *set) peer(a netip.Addr) *Entry {
	a = a.Unmap().WithZone("")
	for _, e := range s.peers {
		if e.Peer.Contains(a) {
			return e
		}
	}
	return nil
}

// LineError is a line that denies nothing.
type LineError struct {
	List string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s, line %d: %v", e.List, e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// parseList reads a list. bad are lines that cannot be read, the first few of them; err is that the whole cannot be.
func parseList(name string, r io.Reader) (entries []Entry, bad []error, err error) {
	in := bufio.NewReaderSize(io.LimitReader(r, MaxList+1), maxLine)
	size := int64(0)
	for n := 1; ; n++ {
		line, long, err := readLine(in)
		if size += int64(len(line)) + long; size > MaxList {
			return nil, nil, fmt.Errorf("%s has more than %d bytes", name, MaxList)
		}
		if err != nil && err != io.EOF {
			return nil, bad, err
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		e, ok, lineErr := Parse(strings.TrimRight(string(line), "\r\n"))
		if long > 0 {
			ok, lineErr = false, fmt.Errorf("has more than %d bytes", maxLine)
		}
		if lineErr != nil && len(bad) < maxErrors {
			bad = append(bad, &LineError{name, n, lineErr})
		}
		if ok {
			e.List = name
			entries = append(entries, e)
		}
		if len(entries) > MaxEntries {
			return nil, nil, fmt.Errorf("%s has more than %d entries", name, MaxEntries)
		}
		if err == io.EOF {
			return entries, bad, nil
		}
	}
}

// readLine reads a line. long is how many bytes followed what fits: of such a line the beginning is returned.
func readLine(in *bufio.Reader) (line []byte, long int64, err error) {
	line, err = in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, 0, err
	}
	line = bytes.Clone(line)
	for err == bufio.ErrBufferFull {
		var more []byte
		more, err = in.ReadSlice('\n')
		long += int64(len(more))
	}
	return line, max(long, 1), err
}
