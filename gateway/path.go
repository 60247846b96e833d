package gateway

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"sharer/chunk"
	"sharer/link"
)

// target is what a path names.
type target struct {
	id, also chunk.ID
	name     string // of a file; a stranger's text
	size     int64  // hint, -1: not said
	peers    []netip.AddrPort

	folder bool   // id is the manifest
	path   string // in the folder
	slash  bool   // the path ends with one

	latest bool // name is what key has published
	key    chunk.Hash

	within Page // the folder or publisher that the content is shown as part of
}

var errPath = errors.New("the path names no content; want /<sha256>, /blake3/<hex>, /folder/<hex>/<path> or /latest/<key>/<name>")

// maxLatestName is the longest published name in bytes: as long as a file's.
const maxLatestName = 1024

// parseTarget reads the path of a request, as it was sent, and its query.
func parseTarget(path, query string) (target, error) {
	if rest, ok := strings.CutPrefix(path, "/latest/"); ok {
		return parseLatest(rest)
	}
	if len(path)+len(query) > link.MaxText {
		return target{}, errPath
	}
	text := strings.TrimPrefix(path, "/")
	if query != "" {
		text += "?" + query
	}
	l, err := link.Parse(text)
	if err != nil {
		// What is wrong with a hint is no reason to refuse the id before it.
		if l, err = link.Parse(strings.TrimPrefix(path, "/")); err != nil {
			return target{}, err
		}
	}
	if l.Published != "" {
		return target{latest: true, key: chunk.Hash(l.Publisher), name: l.Published, size: -1, peers: l.Peers}, nil
	}
	return target{
		id: l.ID, also: l.Also, name: l.Name, size: l.Size, peers: l.Peers,
		folder: l.Folder, path: l.Path, slash: strings.HasSuffix(path, "/"),
	}, nil
}

// parseLatest reads <key>/<name>, the key with or without 0x before it.
func parseLatest(rest string) (target, error) {
	first, name, _ := strings.Cut(rest, "/")
	key, err := chunk.ParseHash(strings.TrimPrefix(strings.ToLower(first), "0x"))
	if err != nil {
		return target{}, errors.New("a publisher's key has 64 hex digits, as in /latest/<key>/<name>")
	}
	name, err = url.PathUnescape(name)
	switch {
	case err != nil:
		return target{}, errors.New("the published name has a broken percent escape")
	case name == "" || len(name) > maxLatestName:
		return target{}, errors.New("a published name is missing, or too long, as in /latest/<key>/<name>")
	}
	for _, c := range []byte(name) {
		if c < ' ' || c == 0x7f {
			return target{}, errors.New("the published name holds a control character")
		}
	}
	return target{latest: true, key: key, name: name, size: -1, slash: strings.HasSuffix(name, "/")}, nil
}

// page is the page that is shown under this path.
func (t target) page() Page {
	switch {
	case t.within.Valid():
		return t.within
	case t.latest:
		return Page{'k', t.key}
	case t.folder:
		return Page{'f', t.id.Hash}
	}
	return pageOf(t.id)
}

// what is the target in words of an answer: printable whatever a stranger called it.
func (t target) what() string {
	switch {
	case t.latest:
		return "latest/" + t.key.String() + "/" + escapePath(t.name)
	case t.folder:
		return "folder/" + t.id.Hash.String()
	}
	return t.id.String()
}
