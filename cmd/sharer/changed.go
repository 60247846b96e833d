package main

import (
	"sharer/seed"
	"sharer/watch"
)

// changedEvent is a file that is not offered any more, or under another path.
type changedEvent struct {
	V         int    `json:"v"`
	Type      string `json:"type"` // "withdrawn", "moved"
	Path      string `json:"path"`
	PathBytes []byte `json:"path_bytes,omitempty"`
	From      string `json:"from,omitempty"`
	FromBytes []byte `json:"from_bytes,omitempty"`
}

// folderEvent is a folder that has a new link since something in it changed.
type folderEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "folder"
	folderOffer
}

// changed tells what a watch has found, and done.
func (scr *screen) changed(e watch.Event, f *seed.Folder) {
	switch e.Kind {
	case watch.Offered:
		scr.seeded(e.File)
	case watch.Moved:
		if scr.opts.json {
			scr.event(changedEvent{V: 1, Type: "moved", Path: e.File.Path, PathBytes: pathBytes(e.File.Path), From: e.From, FromBytes: pathBytes(e.From)})
			return
		}
		scr.note("%s is %s now", escape(e.From), escape(e.File.Path))
	case watch.Withdrawn:
		if scr.opts.json {
			scr.event(changedEvent{V: 1, Type: "withdrawn", Path: e.Path, PathBytes: pathBytes(e.Path)})
			return
		}
		scr.note("%s changed or is gone: not offered any more", escape(e.Path))
	case watch.Failed:
		scr.warn(warningEvent{Path: e.Path, Message: escape(e.Path) + ": " + escape(reason(e.Err)) + "; it is tried again"})
	case watch.Note:
		scr.note("%s", escape(e.Text))
	case watch.Settled:
		switch {
		case f == nil: // a file, or a folder that is empty now
		case scr.opts.json:
			scr.event(folderEvent{V: 1, Type: "folder", folderOffer: folderOfferOf(*f)})
		default:
			scr.link(folderOfferOf(*f).Link)
		}
	}
}
