package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"sharer/chunk"
	"sharer/folder"
	"sharer/node"
)

// chosen are the flags that say which files of a folder are meant.
type chosen struct {
	include, exclude []string
	hidden           bool
	said             bool // by the command line, not for all folders
}

func (c *chosen) register(f *pflag.FlagSet) {
	f.StringArrayVar(&c.include, "include", nil, "of a folder, only what `GLOB` fits and what is below; repeatable")
	f.StringArrayVar(&c.exclude, "exclude", nil, "of a folder, leave out what `GLOB` fits and what is below; repeatable")
	f.BoolVar(&c.hidden, "hidden", false, "of a folder, also the hidden files")
}

// selection is what is meant of the folder of an item.
func (c *chosen) selection(it *item) folder.Selection {
	s := folder.Selection{Under: it.link.Path, Include: c.include, Exclude: c.exclude, Hidden: c.hidden}
	if s.Under == "" && !c.said {
		s.Places = it.link.Select // the link's choice gives way to the user's
	}
	return s
}

func (c *chosen) check() error {
	if err := (folder.Selection{Include: c.include, Exclude: c.exclude}).Check(); err != nil {
		return usagef("--include or --exclude: %v", err)
	}
	return nil
}

// choiceFlags are those of chosen.
var choiceFlags = []string{"include", "exclude", "hidden"}

var errChoice = usagef("--include, --exclude and --hidden are for the link of a folder")

// anyFolder says whether a link is that of a folder, or of a name, which may be one.
func anyFolder(items []*item) bool {
	for _, it := range items {
		if it.link.Folder || it.link.Published != "" {
			return true
		}
	}
	return false
}

// checkFolders refuses flags that mean nothing for the links. What is set for good is for those that it means something for.
func (o *getOptions) checkFolders(items []*item) error {
	any := anyFolder(items)
	switch {
	case !any && slices.ContainsFunc(choiceFlags, o.said):
		return errChoice
	case any && o.seed != 0 && !onlyNames(items) && o.said("seed"):
		return usagef("--seed is for files; share a folder that was fetched by sharer seed DIR")
	}
	return nil
}

// onlyNames says whether no link is certain to be that of a folder.
func onlyNames(items []*item) bool {
	for _, it := range items {
		if it.link.Folder {
			return false
		}
	}
	return true
}

// readFolders fetches the manifests. What turns out to be one file is a file from then on.
func (g *getting) readFolders(ctx context.Context, items []*item) {
	for _, it := range items {
		if !it.link.Folder || it.err != nil {
			continue
		}
		if it.err = g.readFolder(ctx, it); it.err != nil && g.older(ctx, it, it.err) {
			it.err = nil
			if it.link.Folder {
				it.err = g.readFolder(ctx, it)
			}
		}
		if it.err == nil || g.alone || ctx.Err() != nil {
			continue
		}
		code := exitOf(ctx, it.err)
		g.scr.fail(warningEvent{Code: code.String(), Job: it.job, ID: folderID(it.link.ID.Hash), Message: about(it.label(), message(ctx, it.err, code))})
	}
}

func (g *getting) readFolder(ctx context.Context, it *item) error {
	task := g.scr.task(view{name: it.label(), job: it.job, id: folderID(it.link.ID.Hash), state: string(node.LookingForPeers), total: -1})
	defer g.scr.end(task, "")
	f, err := g.peer.ReadFolder(ctx, node.Get{ID: it.link.ID, Also: it.link.Also, Peers: it.link.Peers, FindTimeout: g.o.findTimeout, StallTimeout: g.o.stallTimeout})
	if err != nil {
		return err
	}
	files, alone, err := g.o.choose.selection(it).Files(f)
	switch {
	case err != nil:
		return err
	case alone:
		it.link.Folder, it.link.Name, it.link.Size = false, files[0].Path, files[0].Size
		it.link.ID, it.link.Also = chunk.ID{Kind: chunk.BLAKE3, Hash: files[0].BLAKE3}, chunk.ID{}
		if files[0].SHA256 != (chunk.Hash{}) {
			it.link.Also = chunk.ID{Kind: chunk.SHA256, Hash: files[0].SHA256}
		}
		return nil
	case len(files) == 0 && len(f.Files) > 0:
		return fmt.Errorf("none of the %s of the folder is meant; hidden ones need --hidden", count(len(f.Files), "file"))
	}
	it.tree, it.files, it.manifest = true, files, f.Name
	if it.link.Path != "" {
		it.link.Name = path.Base(it.link.Path)
	} else if it.link.Name == "" {
		it.link.Name = f.Name
	}
	return nil
}

// folderID is a folder's id in events.
func folderID(h chunk.Hash) string { return "folder/" + h.String() }

// mostFailures are named one by one for people; of a folder of 10,000 files that is gone one line a file says no more.
const mostFailures = 20

// folder fetches the files of a folder and prints what became of them.
func (g *getting) folder(ctx context.Context, it *item, force bool) {
	begun := time.Now()
	id := folderID(it.link.ID.Hash)
	task := g.scr.task(view{name: it.label(), job: it.job, id: id, state: string(node.LookingForPeers), total: -1, filesTotal: len(it.files)})
	var codes []exit
	existed := 0
	within, room := g.room(ctx, it.path)
	err := g.peer.GetFolder(within, node.GetFolder{
		ID: it.link.ID, Name: it.manifest, Files: it.files, Dir: it.path, Peers: it.link.Peers, Force: force, Jobs: g.o.jobs, FindTimeout: g.o.findTimeout, StallTimeout: g.o.stallTimeout,
		Progress: func(p node.FolderProgress) {
			room.look(p.Progress)
			task.update(func(v *view) {
				v.state, v.done, v.total, v.rate, v.peers, v.sources = string(p.State), p.Done, p.Total, p.Rate, p.Peers, p.Sources
				v.files, v.filesTotal = p.Files, p.FilesTotal
			})
		},
		Done: func(f node.FolderFile) {
			b3 := chunk.ID{Kind: chunk.BLAKE3, Hash: f.File.BLAKE3}.String()
			switch {
			case within.Err() != nil && f.Err != nil:
			case f.Err != nil:
				code := exitOf(ctx, f.Err)
				if codes = append(codes, code); g.o.json || len(codes) <= mostFailures {
					g.scr.fail(warningEvent{Code: code.String(), Job: it.job, ID: b3, Path: f.Path, Message: about(escape(f.Path), message(ctx, f.Err, code))})
				}
			default:
				it.done++
				it.got.Size += f.File.Size
				if f.Existed {
					existed++
				}
				if g.o.json {
					g.scr.event(gotEvent{V: 1, Type: "file", Job: it.job, ID: b3, Path: f.Path, PathBytes: pathBytes(f.Path), Size: f.File.Size,
						Existed: f.Existed, Fetched: f.Fetched, Resumed: f.Resumed})
				}
			}
		},
	})
	err = room.end(within, err)
	last := ""
	if err == nil {
		last = fmt.Sprintf("%s  %s  %s in %s", it.label(), count(it.done, "file"), formatSize(it.got.Size), shortDuration(time.Since(begun)))
		if existed > 0 {
			last += fmt.Sprintf(", %d already there", existed)
		}
		if len(codes) > mostFailures && !g.o.json {
			last += fmt.Sprintf(", %d failed", len(codes))
		}
	}
	g.scr.end(task, last)
	it.got.Path = it.path
	switch {
	case err != nil:
		it.err = err
	case len(codes) > 0:
		it.err = &severalError{code: together(codes, len(it.files)), failed: len(codes), total: len(it.files), what: "files"}
	case !g.o.json:
		g.scr.result(shownPath(g.s, it.path))
	}
}
