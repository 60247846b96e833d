// Package link reads and prints share links: the text that people paste to each
// other to name a content, with hints that make it faster to find.
//
// A link is an id and hints. The id decides what the bytes must be; every hint is
// a stranger's word: it may help to find the content sooner, and it can never
// make other bytes acceptable. A name is therefore kept as it was said, for
// display; whoever makes a file of it passes it through [SafeName] first.
//
// The canonical form and the one that any node's local web page answers:
//
//	lcdp://blake3/<64 hex>[/<filename>][?hints]    http://127.0.0.1:24255/blake3/<hex>[/<filename>]
//	lcdp://sha256/<64 hex>[/<filename>][?hints]    http://127.0.0.1:24255/<hex>[/<filename>]
//	lcdp://folder/<64 hex>[/<path>][?hints]        http://127.0.0.1:24255/folder/<hex>[/<path>]
//	lcdp://[0x]<64 hex>/<name>[?hints]             http://127.0.0.1:24255/latest/<hex>/<name>
//
// A folder's id is the BLAKE3 of its manifest (package folder); a path in it means that file, or that folder, only.
//
// [Parse] also takes the bare forms (<hex>, sha256/<hex>, blake3/<hex>, b3/<hex>,
// blake3_tree_v2/<hex>, folder/<hex>), with a filename and hints if need be, and any
// http or https URL with such a path; the host is ignored. Scheme, kind and hex are
// case-insensitive.
//
// The last form names no content, but what a publisher, whose key it is, says at any time that it is: a file, or a folder, or
// something in a published folder. Which of these only the publisher can tell.
//
//	n    display name                         k    a holder's public key, repeatable
//	s    size in bytes, of all files together w    https URL of a copy, repeatable
//	p    ip:port of a holder, at most 8       so   selection of files in a folder
//	h    the other hash: sha256:<hex>         seq  least sequence number of a name
//	     or blake3:<hex>
//
// The package opens nothing and sends nothing.
package link

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sharer/chunk"
)

const (
	// MaxText is the longest text in bytes that Parse looks at. It is more than
	// String can give: a path of 4095 bytes, all percent-encoded, takes 12 KiB, a name of
	// 1024 bytes 3 KiB, eight mirrors 6 KiB, eight peers with zones 3 KiB, eight keys 0.6 KiB.
	MaxText = 32768
	// MaxPeers is how many p hints are used (cli.md section 2): each one makes
	// nodes send a datagram to an address that somebody else chose.
	MaxPeers = 8
	// maxRepeated bounds the k and the w hints in the same way.
	maxRepeated = 8
	maxNameText = 1024 // bytes of a name; file systems take 255
	maxPathText = 4095 // bytes of a path in a folder: a manifest has none that is longer
	maxWebText  = 256  // bytes of a w hint
	maxHintText = 100  // bytes of a p or so hint
	// webBase is where a node's local web page listens (wire.md section 1).
	webBase = "http://127.0.0.1:24255/"
)

// Key is a holder's Ed25519 public key.
type Key [32]byte

// Link is what a link says. Either ID or Published is certain to be there.
type Link struct {
	ID   chunk.ID
	Also chunk.ID // the other hash of the same content; zero Kind: not said. Both must match at the end.
	Name string   // valid UTF-8 in NFC, else as said: never a path, may hold anything; "" if not said
	Size int64    // bytes, -1: not said

	Folder bool   // ID is the manifest of a folder; Name and Size are the folder's
	Path   string // in the folder: valid UTF-8 in NFC, parts between slashes of which none is "", . or ..; "": all of it

	Published string // what Publisher published under this name, or what is below it; parts as in Path. "": the link names an ID
	Publisher Key

	Peers   []netip.AddrPort // at most MaxPeers, unmapped, without duplicates
	Keys    []Key
	Mirrors []string // https URLs
	Select  string   // files of a folder, as 0,2,5-9
	Seq     int64    // least sequence number of a name, 0: any

	// Ignored has one line for each hint that is known but could not be used. The
	// link works without it; a command may warn.
	Ignored []string
}

// For is the link that is handed out for a content whose both ids are known.
// Content of one block also carries its sha256: the best-known node cannot verify
// one block under a blake3 id, and asks for it for ever (wire.md section 11).
func For(sums chunk.Sums, name string) Link {
	l := Link{
		ID:   chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3},
		Name: cleanName(name),
		Size: sums.Size,
	}
	if oneBlock(sums.Size) && sums.SHA256 != (chunk.Hash{}) { // who lists what is shared may not know it
		l.Also = chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}
	}
	return l
}

// ForFolder is the link that is handed out for a folder: sums are those of its manifest, size is that of its files.
func ForFolder(sums chunk.Sums, name string, size int64) Link {
	l := For(sums, name)
	l.Folder, l.Size = true, size
	return l
}

// oneBlock says whether a content of size bytes is exactly one block. Empty
// content has none: its hash tree is a header, and nothing is asked for.
func oneBlock(size int64) bool { return size > 0 && size <= chunk.BlockSize }

// String is the canonical form. Parse(l.String()) gives l again, but for Ignored.
func (l Link) String() string {
	var b strings.Builder
	b.WriteString("lcdp://")
	if l.Published != "" {
		b.WriteString("0x" + chunk.Hash(l.Publisher).String())
		l.appendRest(&b, l.Also)
		return b.String()
	}
	word := kindWord(l.ID.Kind)
	if l.Folder {
		word = folderWord
	}
	b.WriteString(word)
	b.WriteByte('/')
	b.WriteString(l.ID.Hash.String())
	l.appendRest(&b, l.Also)
	return b.String()
}

// folderWord is the kind of a folder's id in a link.
const folderWord = "folder"

// Web is the form that any browser can open where a node runs. One block goes by
// its sha256 when that is known, see [For].
func (l Link) Web() string {
	id, also := l.ID, l.Also
	if !l.Folder && oneBlock(l.Size) && also.Kind == chunk.SHA256 && id.Kind == chunk.BLAKE3 {
		id, also = also, id
	}
	var b strings.Builder
	b.WriteString(webBase)
	switch {
	case l.Published != "":
		b.WriteString("latest/" + chunk.Hash(l.Publisher).String())
		l.appendRest(&b, also)
		return b.String()
	case l.Folder:
		b.WriteString(folderWord + "/")
	case id.Kind != chunk.SHA256:
		b.WriteString(kindWord(id.Kind))
		b.WriteByte('/')
	}
	b.WriteString(id.Hash.String())
	l.appendRest(&b, also)
	return b.String()
}

// appendRest writes the file name, or the path in a folder, and the hints.
func (l Link) appendRest(b *strings.Builder, also chunk.ID) {
	name := cleanName(l.Name)
	switch {
	case l.Published != "":
		b.WriteByte('/')
		appendEscaped(b, l.Published, "/")
	case l.Folder && l.Path != "":
		b.WriteByte('/')
		appendEscaped(b, l.Path, "/")
	case !l.Folder && name != "":
		b.WriteByte('/')
		appendEscaped(b, name, "")
	}
	sep := byte('?')
	hint := func(key, value, plain string) {
		b.WriteByte(sep)
		sep = '&'
		b.WriteString(key)
		b.WriteByte('=')
		appendEscaped(b, value, plain)
	}
	if (l.Folder || l.Published != "") && name != "" {
		hint("n", name, "")
	}
	if l.Size >= 0 {
		hint("s", strconv.FormatInt(l.Size, 10), "")
	}
	if also.Kind != 0 {
		hint("h", kindWord(also.Kind)+":"+also.Hash.String(), ":")
	}
	for _, p := range l.Peers {
		hint("p", p.String(), ":")
	}
	for _, k := range l.Keys {
		hint("k", chunk.Hash(k).String(), "")
	}
	if l.Select != "" {
		hint("so", l.Select, ",")
	}
	for _, w := range l.Mirrors {
		hint("w", w, ":/")
	}
	if l.Seq > 0 {
		hint("seq", strconv.FormatInt(l.Seq, 10), "")
	}
}

// Equal says whether two links say the same, Ignored apart.
func (l Link) Equal(o Link) bool {
	return l.ID == o.ID && l.Also == o.Also && l.Name == o.Name && l.Size == o.Size &&
		l.Published == o.Published && l.Publisher == o.Publisher && l.Folder == o.Folder && l.Path == o.Path && l.Select == o.Select && l.Seq == o.Seq &&
		slices.Equal(l.Peers, o.Peers) && slices.Equal(l.Keys, o.Keys) && slices.Equal(l.Mirrors, o.Mirrors)
}

func kindWord(k chunk.Kind) string {
	switch k {
	case chunk.SHA256:
		return "sha256"
	case chunk.BLAKE3:
		return "blake3"
	case chunk.BLAKE3Tree:
		return "blake3_tree_v2"
	}
	return "invalid"
}

// cleanName makes a name fit to travel in a link. "." and ".." are dropped: every
// URL library would resolve them away, also when percent-encoded.
func cleanName(name string) string {
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "\uFFFD")
	}
	name = norm.NFC.String(name)
	if name == "." || name == ".." {
		return ""
	}
	return name
}

const upperHex = "0123456789ABCDEF"

// appendEscaped percent-encodes all but RFC 3986 unreserved characters and those
// in plain.
func appendEscaped(b *strings.Builder, s, plain string) {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
}
