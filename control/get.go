package control

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"path/filepath"
	"strings"

	"sharer/chunk"
	"sharer/folder"
	"sharer/node"
)

// Fetch is a download that the daemon is asked for: of a content by its id, of one by a name, or of files of a folder.
type Fetch struct {
	ID    chunk.ID         `json:"id"`
	Also  chunk.ID         `json:"also"`
	Named string           `json:"named,omitempty"` // asked for by this name, unverified, instead of the ID
	Size  int64            `json:"size"`            // -1: not known
	Peers []netip.AddrPort `json:"peers,omitempty"`
	Path  Path             `json:"path,omitempty"` // absolute; of a folder, where it is put
	Force bool             `json:"force,omitempty"`
	Find  float64          `json:"find_timeout_s,omitempty"`
	Stall float64          `json:"stall_timeout_s,omitempty"`
	Title string           `json:"title,omitempty"` // for people
	Out   bool             `json:"out,omitempty"`   // the bytes go to the caller instead of Path
	Keep  *float64         `json:"keep_s,omitempty"`

	Folder *FetchFolder `json:"folder,omitempty"`
}

// FetchFolder says which files of the folder that ID names. Files are known already, or are found by Choice.
type FetchFolder struct {
	Name   string           `json:"name,omitempty"` // as its manifest says
	Files  []folder.File    `json:"files,omitempty"`
	Choice folder.Selection `json:"choice,omitzero"`
	Jobs   int              `json:"jobs,omitempty"`
	Into   bool             `json:"into,omitempty"` // Path is the folder in which one of its own name is made
}

// Progress is node.Progress, and node.FolderProgress, as an event.
type Progress struct {
	State   node.State `json:"state"`
	Done    int64      `json:"done"`
	Total   int64      `json:"total"`
	Rate    float64    `json:"rate"`
	Peers   int        `json:"peers"`
	Sources int        `json:"sources"`

	Files, FilesTotal int `json:",omitempty"`
}

// ProgressOf and Progress.Node convert.
func ProgressOf(p node.FolderProgress) Progress {
	return Progress{p.State, p.Done, p.Total, p.Rate, p.Peers, p.Sources, p.Files, p.FilesTotal}
}

// Node is p as the node has it.
func (p Progress) Node() node.FolderProgress {
	return node.FolderProgress{
		Progress: node.Progress{State: p.State, Done: p.Done, Total: p.Total, Rate: p.Rate, Peers: p.Peers, Sources: p.Sources},
		Files:    p.Files, FilesTotal: p.FilesTotal,
	}
}

// Got is node.Got.
type Got struct {
	Path    Path           `json:"path"`
	Size    int64          `json:"size"`
	SHA256  chunk.Hash     `json:"sha256"`
	BLAKE3  chunk.Hash     `json:"blake3"`
	Existed bool           `json:"existed,omitempty"`
	Fetched int64          `json:"fetched"`
	Resumed int64          `json:"resumed,omitempty"`
	Seconds float64        `json:"seconds"`
	Asked   int            `json:"asked"`
	From    netip.AddrPort `json:"from,omitzero"`
}

// GotOf is g as it goes over the socket.
func GotOf(g node.Got) Got {
	return Got{Path: Path(g.Path), Size: g.Size, SHA256: g.Sums.SHA256, BLAKE3: g.Sums.BLAKE3, Existed: g.Existed,
		Fetched: g.Fetched, Resumed: g.Resumed, Seconds: seconds(g.Duration), Asked: g.Asked, From: g.From}
}

func (g Got) node() node.Got {
	return node.Got{Path: string(g.Path), Size: g.Size, Sums: chunk.Sums{SHA256: g.SHA256, BLAKE3: g.BLAKE3, Size: g.Size}, Existed: g.Existed,
		Fetched: g.Fetched, Resumed: g.Resumed, Duration: duration(g.Seconds), Asked: g.Asked, From: g.From}
}

// FolderFile is node.FolderFile.
type FolderFile struct {
	File    folder.File `json:"file"`
	Path    Path        `json:"path"`
	Existed bool        `json:"existed,omitempty"`
	Fetched int64       `json:"fetched,omitempty"`
	Resumed int64       `json:"resumed,omitempty"`
	Error   *Error      `json:"error,omitempty"`
}

func folderFileOf(f node.FolderFile) FolderFile {
	return FolderFile{f.File, Path(f.Path), f.Existed, f.Fetched, f.Resumed, errorOf(f.Err)}
}

func (f FolderFile) node() node.FolderFile {
	out := node.FolderFile{File: f.File, Path: string(f.Path), Existed: f.Existed, Fetched: f.Fetched, Resumed: f.Resumed}
	if f.Error != nil {
		out.Err = f.Error
	}
	return out
}

// getEvent is an event of a download.
type getEvent struct {
	Progress *Progress   `json:"progress,omitempty"`
	File     *FolderFile `json:"file,omitempty"`
}

// Follower is told how a download goes. All of it may be nil.
type Follower struct {
	Progress func(node.FolderProgress)
	Done     func(node.FolderFile) // of a folder
	Out      io.Writer
}

// Fetcher downloads: what GET serves is the daemon's.
type Fetcher interface {
	// Fetch returns when the download has ended, or ctx has: then it is paused.
	Fetch(ctx context.Context, f Fetch, follow Follower) (node.Got, error)
	ReadFolder(ctx context.Context, g node.Get) (folder.Folder, error)
}

// ServeFetcher answers requests for downloads.
func (s *Server) ServeFetcher(d Fetcher) {
	stream(s, "POST /v1/get", maxList, func(ctx context.Context, in Fetch, out *Stream) (Got, error) {
		if err := in.check(CallerOf(ctx)); err != nil {
			return Got{}, err
		}
		follow := Follower{
			Progress: func(p node.FolderProgress) {
				q := ProgressOf(p)
				out.Event(getEvent{Progress: &q})
			},
			Done: func(f node.FolderFile) {
				done := folderFileOf(f)
				out.Event(getEvent{File: &done})
			},
		}
		if in.Out {
			follow.Out = out
		}
		got, err := d.Fetch(ctx, in, follow)
		return GotOf(got), err
	})
	stream(s, "POST /v1/folder", maxRequest, func(ctx context.Context, in Fetch, _ *Stream) (folder.Folder, error) {
		return d.ReadFolder(ctx, node.Get{ID: in.ID, Also: in.Also, Peers: in.Peers, FindTimeout: duration(in.Find), StallTimeout: duration(in.Stall)})
	})
}

// check refuses what cannot be done, and what this caller may not have done: files are written by their path for the
// user who runs the daemon only.
func (f *Fetch) check(c Caller) error {
	switch {
	case !f.ID.Valid() && f.Named == "":
		return badf("neither an id nor a name")
	case f.Out:
		return nil
	case !c.Same:
		return badCaller(c)
	case !filepath.IsAbs(string(f.Path)):
		return badf("the path %q is not absolute", f.Path)
	}
	return nil
}

// Get is node.Node.Get by the daemon, as one of its jobs: when ctx ends it is paused.
func (c *Client) Get(ctx context.Context, g node.Get) (node.Got, error) {
	if !c.about.Same && g.Out == nil {
		return c.getHere(ctx, c.fetchOf(g), g)
	}
	return c.fetch(ctx, c.fetchOf(g), g.Path, Follower{Progress: oneFile(g.Progress), Out: g.Out})
}

// GetNamed is node.Node.GetNamed by the daemon.
func (c *Client) GetNamed(ctx context.Context, name string, g node.Get) (node.Got, error) {
	f := c.fetchOf(g)
	f.Named = name
	return c.fetch(ctx, f, g.Path, Follower{Progress: oneFile(g.Progress), Out: g.Out})
}

func oneFile(progress func(node.Progress)) func(node.FolderProgress) {
	if progress == nil {
		return nil
	}
	return func(p node.FolderProgress) { progress(p.Progress) }
}

func (c *Client) fetchOf(g node.Get) Fetch {
	return Fetch{ID: g.ID, Also: g.Also, Size: g.Size, Peers: g.Peers, Force: g.Force, Find: seconds(g.FindTimeout), Stall: seconds(g.StallTimeout), Out: g.Out != nil}
}

// ReadFolder is node.Node.ReadFolder by the daemon.
func (c *Client) ReadFolder(ctx context.Context, g node.Get) (f folder.Folder, err error) {
	err = c.Stream(ctx, "/v1/folder", c.fetchOf(g), nil, nil, &f)
	return f, err
}

// GetFolder is node.Node.GetFolder by the daemon, as one of its jobs: when ctx ends it is paused.
func (c *Client) GetFolder(ctx context.Context, g node.GetFolder) error {
	f := Fetch{ID: g.ID, Size: -1, Peers: g.Peers, Force: g.Force, Find: seconds(g.FindTimeout), Stall: seconds(g.StallTimeout),
		Folder: &FetchFolder{Name: g.Name, Files: g.Files, Jobs: g.Jobs}}
	_, err := c.fetch(ctx, f, g.Dir, Follower{Progress: g.Progress, Done: g.Done})
	return err
}

// fetch follows a download. Paths are shown as they were asked for, not as the daemon sees them.
func (c *Client) fetch(ctx context.Context, f Fetch, path string, follow Follower) (node.Got, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return node.Got{}, err
	}
	f.Path, f.Keep = Path(abs), c.Keep
	var got Got
	err = c.Stream(ctx, "/v1/get", f, func(text json.RawMessage) error {
		var e getEvent
		if err := json.Unmarshal(text, &e); err != nil {
			return err
		}
		if e.Progress != nil && follow.Progress != nil {
			follow.Progress(e.Progress.Node())
		}
		if e.File != nil && follow.Done != nil {
			file := e.File.node()
			file.Path = shown(file.Path, abs, path)
			follow.Done(file)
		}
		return nil
	}, follow.Out, &got)
	if remote, ok := err.(*Error); ok {
		remote.Message = strings.ReplaceAll(remote.Message, abs, path)
		if remote.Locked != nil {
			remote.Locked.Path = shown(remote.Locked.Path, abs, path)
		}
	}
	n := got.node()
	n.Path = shown(n.Path, abs, path)
	return n, err
}

// shown is a path that begins with abs, beginning with path instead.
func shown(full, abs, path string) string {
	if rest, ok := strings.CutPrefix(full, abs); ok {
		return path + rest
	}
	return full
}
