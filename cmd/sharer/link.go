package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"rsc.io/qr"

	"sharer/chunk"
	"sharer/control"
	"sharer/folder"
	"sharer/link"
)

// linkOptions are the flags of link.
type linkOptions struct {
	*options
	web, qr, copy bool
	withPeers     int
}

func newLink() *command {
	c := newCommand("link", "ID|PATH", "print the link of what is shared, also as a QR code")
	c.long = `Print the link of a file or a folder that is shared, or another form of a link or an id: with
--web the one that a browser opens where a node runs. --peers adds addresses of this node, so that
who has the link asks here first. --qr draws the shortest form, for a phone. --copy hands the link to
the terminal's clipboard (OSC 52), which some terminals must be told to allow.`
	c.examples = `sharer link ~/isos
sharer link --qr blake3/3f2a...
sharer link --web --copy ~/isos/a.iso
sharer link --peers 3 ~/isos`
	o := &linkOptions{options: c.options}
	f := c.flags
	c.own = []string{"peers"} // of ls it is another one
	c.contrary = append(c.contrary, pair{"qr", "json"})
	f.BoolVar(&o.web, "web", false, "print the form for browsers: http://127.0.0.1:24255/...")
	f.BoolVar(&o.qr, "qr", false, "draw a QR code too")
	f.BoolVar(&o.copy, "copy", false, "copy it to the clipboard of the terminal")
	f.IntVar(&o.withPeers, "peers", 0, "add up to `N` addresses of the running node (at most 8)")
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runLink(ctx, o, args, s) }
	return c
}

// linkDocument is the answer to sharer link --json.
type linkDocument struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // "link"
	ID     string `json:"id"`
	Folder bool   `json:"folder"`
	Name   string `json:"name,omitempty"`
	Size   *int64 `json:"size,omitempty"`
	Link   string `json:"link"`
	Web    string `json:"web"`
}

func runLink(ctx context.Context, o *linkOptions, args []string, s *stdio) error {
	switch {
	case len(args) != 1:
		return usagef("link needs one id, link or path; see sharer help link")
	case o.withPeers < 0 || o.withPeers > link.MaxPeers:
		return usagef("--peers %d: want 0 to %d", o.withPeers, link.MaxPeers)
	case o.qr && o.json:
		return usagef("--qr and --json both want standard output")
	case o.copy && !s.errTTY:
		return usagef("--copy needs a terminal; use a pipe to a program such as xclip or pbcopy")
	}
	l, err := o.find(ctx, args[0], s)
	if err != nil {
		return err
	}
	if o.withPeers > 0 {
		if l.Peers, err = o.ownAddrs(ctx, s); err != nil {
			return err
		}
	}
	text := l.String()
	if o.web {
		text = l.Web()
	}
	if o.json {
		doc := linkDocument{V: 1, Type: "link", ID: l.ID.String(), Folder: l.Folder, Name: l.Name, Link: l.String(), Web: l.Web()}
		switch {
		case l.Folder:
			doc.ID = folderID(l.ID.Hash)
		case l.Published != "":
			doc.ID = ""
		}
		if l.Size >= 0 {
			doc.Size = &l.Size
		}
		writeEvent(s.out, doc)
	} else {
		fmt.Fprintln(s.out, text)
	}
	if o.qr {
		drawing, err := drawQR(shortest(l), o.paintFor(s.outTTY, s, green, "") != "")
		if err != nil {
			return err
		}
		io.WriteString(s.out, drawing)
	}
	if o.copy {
		// The bytes go to the terminal, which is no result.
		fmt.Fprintf(s.err, "\x1b]52;c;%s\a", base64.StdEncoding.EncodeToString([]byte(text)))
		if !o.quiet {
			fmt.Fprintln(s.err, "copied")
		}
	}
	return nil
}

// find is the link of an argument: what lies at a path goes first.
func (o *linkOptions) find(ctx context.Context, arg string, s *stdio) (link.Link, error) {
	_, statErr := os.Lstat(arg)
	l, err := link.Parse(arg)
	if statErr != nil && err != nil {
		return l, usagef("%q is neither a path nor a link: %s", shorten(arg, 100), strings.TrimPrefix(err.Error(), "link: "))
	}
	r, rerr := openRecords(o.options, s)
	if rerr != nil {
		return l, rerr
	}
	defer r.close()
	if statErr == nil {
		return o.ofPath(ctx, r, arg)
	}
	if l.Folder || l.Size >= 0 && l.Name != "" {
		return l, nil
	}
	// A bare id of what is here gets name and size.
	es, err := r.places(l.ID)
	if errors.Is(err, errNothing) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	e := es[0]
	name := filepath.Base(e.Place.Path)
	if e.Place.Path == filepath.Join(r.dir, "store", filepath.Base(filepath.Dir(e.Place.Path)), name) {
		name = l.Name // in the store files are called by their hash
	}
	return link.For(chunk.Sums{SHA256: e.Content.SHA256, BLAKE3: e.Content.BLAKE3, Size: e.Content.Size}, name), nil
}

// ofPath is the link of a file or a folder that is shared, as it was when it was hashed.
func (o *linkOptions) ofPath(ctx context.Context, r *records, arg string) (l link.Link, err error) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return l, err
	}
	notShared := &codedError{exitNotFound, fmt.Errorf("%s is not shared. Share it: sharer seed %s", arg, quoteShell(arg))}
	if fi, err := os.Stat(abs); err == nil && fi.IsDir() {
		noted, err := r.offeredAt(ctx, abs)
		if err != nil {
			return l, err
		}
		if noted == nil {
			return l, notShared
		}
		hex, ok := strings.CutPrefix(noted.ID, "folder/")
		h, err := chunk.ParseHash(hex)
		if !ok || err != nil {
			return l, notShared // it has no list yet
		}
		page, err := r.page(ctx, h)
		if err != nil {
			return l, notShared
		}
		sums, err := chunk.Sum(ctx, bytes.NewReader(page), int64(len(page)), nil, nil)
		if err != nil {
			return l, err
		}
		name := filepath.Base(abs)
		if folder.CheckPath(name) != nil {
			name = ""
		}
		return link.ForFolder(sums, name, cmp.Or(noted.Listed, noted.Size)), nil
	}
	es, err := r.under(abs)
	if err != nil {
		return l, err
	}
	if len(es) == 0 {
		return l, notShared
	}
	e := es[0]
	f, stamp, err := chunk.OpenRegular(e.Place.Path)
	if err != nil {
		return l, pathError(err)
	}
	f.Close()
	if !e.Place.Stamp.Fits(stamp) {
		return l, &codedError{exitIntegrity, fmt.Errorf("%s has changed since it was hashed. Share it as it is now: sharer seed %s", arg, quoteShell(arg))}
	}
	return link.For(chunk.Sums{SHA256: e.Content.SHA256, BLAKE3: e.Content.BLAKE3, Size: e.Content.Size}, filepath.Base(abs)), nil
}

// ownAddrs are addresses by which the running node may be reached, those of the whole world first.
func (o *linkOptions) ownAddrs(ctx context.Context, s *stdio) ([]netip.AddrPort, error) {
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return nil, err
	}
	c, err := control.Dial(ctx, dir)
	if err != nil {
		return nil, &codedError{exitDaemon, fmt.Errorf("--peers: %w. Start one: sharer daemon", err)}
	}
	defer c.Close()
	var local []netip.Addr
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range ifaces {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local = append(local, p.Addr())
		}
	}
	addrs := reachable(c.Addrs(), local)
	return addrs[:min(len(addrs), o.withPeers)], nil
}

// reachable are the addresses that listening ones stand for, public ones first, loopback only if it was named.
func reachable(listen []netip.AddrPort, local []netip.Addr) []netip.AddrPort {
	var public, private []netip.AddrPort
	add := func(a netip.Addr, port uint16) {
		if a.IsGlobalUnicast() && !a.IsPrivate() {
			public = append(public, netip.AddrPortFrom(a, port))
		} else {
			private = append(private, netip.AddrPortFrom(a, port))
		}
	}
	for _, l := range listen {
		if !l.Addr().IsUnspecified() {
			add(l.Addr(), l.Port())
			continue
		}
		for _, a := range local {
			a = a.Unmap()
			if !a.IsLoopback() && !a.IsLinkLocalUnicast() && (a.Is4() || l.Addr().Is6()) {
				add(a, l.Port())
			}
		}
	}
	return append(public, private...)
}

// shortest is what a QR code holds: upper case throughout, which its alphanumeric mode takes in 78 characters, where
// neither the name of a publisher nor a path of a folder is part of what is meant.
func shortest(l link.Link) string {
	kind := "BLAKE3"
	switch {
	case l.Published != "" || l.Path != "":
		return link.Link{ID: l.ID, Size: -1, Folder: l.Folder, Path: l.Path, Published: l.Published, Publisher: l.Publisher}.String()
	case l.Folder:
		kind = "FOLDER"
	case l.ID.Kind == chunk.SHA256:
		kind = "SHA256"
	}
	return "LCDP://" + kind + "/" + strings.ToUpper(l.ID.Hash.String())
}

// drawQR draws a code two rows a line. With colours it is black on white on every terminal; without, a terminal that is
// light on dark shows it right.
func drawQR(text string, colours bool) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	const quiet = 4 // modules around it that the standard wants empty
	blocks := []string{" ", "▄", "▀", "█"}
	dark := func(x, y int) int {
		black := x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y)
		if black == colours {
			return 1
		}
		return 0
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		if colours {
			b.WriteString("\x1b[30;107m")
		}
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString(blocks[2*dark(x, y)+dark(x, y+1)])
		}
		if colours {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}
