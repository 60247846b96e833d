package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
	"sharer/link"
	"sharer/node"
)

// isFolderLink says whether text is the link of a folder, or only looks like one that is malformed.
func isFolderLink(text string) bool {
	l, err := link.Parse(text)
	return err == nil && (l.Folder || l.Published != "") || err != nil && strings.HasPrefix(text, "lcdp:")
}

// listFolder prints what a folder holds. Of the contents nothing is fetched.
func listFolder(ctx context.Context, o *listOptions, args []string, s *stdio) error {
	l, err := link.Parse(args[0])
	switch {
	case err != nil:
		return usagef("link %q: %s", shorten(args[0], 100), strings.TrimPrefix(err.Error(), "link: "))
	case l.Published != "" && identity.PublicKey(l.Publisher).Check() != nil:
		return usagef("link %q: %v", shorten(args[0], 100), identity.PublicKey(l.Publisher).Check())
	case o.findTimeout <= 0:
		return usagef("--find-timeout %s: want more than 0", o.findTimeout)
	}
	if err := o.choose.check(); err != nil {
		return err
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	p, err := openPeer(ctx, o.options, scr, false, false)
	if err != nil {
		return err
	}
	defer p.Close()
	if l.Published != "" {
		if l, err = resolveLink(ctx, p, l, o.findTimeout); err != nil {
			return err
		}
		if !l.Folder {
			return usagef("%q is a file: %s", shorten(args[0], 100), l)
		}
	}
	f, err := p.ReadFolder(ctx, node.Get{ID: l.ID, Also: l.Also, Peers: l.Peers, FindTimeout: o.findTimeout})
	if err != nil {
		return err
	}
	files, alone, err := o.choose.selection(&item{link: l}).Files(f)
	if err != nil {
		return err
	}
	doc := folderDocument{V: 1, Type: "folder", ID: folderID(l.ID.Hash), Name: f.Name, Path: l.Path, Files: len(files), Rows: []folderRow{}}
	for _, file := range files {
		doc.Bytes += file.Size
		doc.Rows = append(doc.Rows, folderRowOf(l, file, alone))
	}
	if o.json {
		scr.event(doc)
		return nil
	}
	doc.writeTable(s)
	scr.note("%s, %s", count(doc.Files, "file"), formatSize(doc.Bytes))
	return nil
}

// folderRowOf is a row for a file whose path begins behind that of the link, or is its end.
func folderRowOf(l link.Link, f folder.File, alone bool) folderRow {
	row := folderRow{Path: f.Path, Size: f.Size, BLAKE3: f.BLAKE3.String(), Executable: f.Executable, Hidden: f.Hidden}
	if f.SHA256 != (chunk.Hash{}) {
		row.SHA256 = f.SHA256.String()
	}
	if f.Mtime != 0 {
		at := time.Unix(f.Mtime, 0).UTC()
		row.Modified = &at
	}
	to := link.Link{ID: l.ID, Also: l.Also, Folder: true, Path: f.Path, Size: f.Size}
	switch {
	case alone:
		to.Path = l.Path
	case l.Path != "":
		to.Path = l.Path + "/" + f.Path
	}
	row.Link = to.String()
	return row
}

func (d folderDocument) writeTable(s *stdio) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, r := range d.Rows {
		modified := "-"
		if r.Modified != nil {
			modified = r.Modified.Format("2006-01-02 15:04")
		}
		name := r.Path
		if s.outTTY {
			name = escape(name)
		}
		if r.Executable {
			name += "*"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", formatSize(r.Size), modified, name)
	}
	w.Flush()
}
