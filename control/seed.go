package control

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"sharer/chunk"
	"sharer/index"
	"sharer/seed"
)

// SeedRequest is seed.Options: paths are absolute.
type SeedRequest struct {
	Paths       []Path   `json:"paths"`
	Exclude     []string `json:"exclude,omitempty"`
	FollowLinks bool     `json:"follow_links,omitempty"`
	Rehash      bool     `json:"rehash,omitempty"`
}

// seedEvent is a seed.Event.
type seedEvent struct {
	Kind   seed.Kind `json:"kind"`
	Files  int       `json:"files,omitempty"`
	Bytes  int64     `json:"bytes,omitempty"`
	Walked bool      `json:"walked,omitempty"`
	File   *seedFile `json:"file,omitempty"`
	Path   Path      `json:"path,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Error  *Error    `json:"error,omitempty"`

	Folder *seedFolder `json:"folder,omitempty"`
}

type seedFile struct {
	Path       Path        `json:"path"`
	Rel        Path        `json:"rel"`
	Root       Path        `json:"root"`
	SHA256     chunk.Hash  `json:"sha256"`
	BLAKE3     chunk.Hash  `json:"blake3"`
	Size       int64       `json:"size"`
	Stamp      chunk.Stamp `json:"stamp"`
	Reused     bool        `json:"reused,omitempty"`
	Executable bool        `json:"executable,omitempty"`
}

type seedFolder struct {
	Root  Path       `json:"root"`
	Name  string     `json:"name"`
	Sums  chunk.Sums `json:"sums"`
	Files int        `json:"files"`
	Bytes int64      `json:"bytes"`
	Left  int        `json:"left,omitempty"`
}

func seedEventOf(e seed.Event) seedEvent {
	out := seedEvent{Kind: e.Kind, Files: e.Files, Bytes: e.Bytes, Walked: e.Walked, Path: Path(e.Path), Reason: e.Reason, Error: errorOf(e.Err)}
	switch e.Kind {
	case seed.FileDone:
		f := e.File
		out.File = &seedFile{Path(f.Path), Path(f.Rel), Path(f.Root), f.Content.SHA256, f.Content.BLAKE3, f.Content.Size, f.Stamp, f.Reused, f.Executable}
	case seed.FolderDone:
		f := e.Folder
		out.Folder = &seedFolder{Path(f.Root), f.Name, f.Sums, f.Files, f.Bytes, f.Left}
	}
	return out
}

func (e seedEvent) event() seed.Event {
	out := seed.Event{Kind: e.Kind, Files: e.Files, Bytes: e.Bytes, Walked: e.Walked, Path: string(e.Path), Reason: e.Reason}
	if e.Error != nil {
		out.Err = e.Error
	}
	if f := e.File; f != nil {
		out.File = seed.File{Path: string(f.Path), Rel: string(f.Rel), Root: string(f.Root), Stamp: f.Stamp, Reused: f.Reused, Executable: f.Executable,
			Content: index.Content{SHA256: f.SHA256, BLAKE3: f.BLAKE3, Size: f.Size}}
	}
	if f := e.Folder; f != nil {
		out.Folder = seed.Folder{Root: string(f.Root), Name: f.Name, Sums: f.Sums, Files: f.Files, Bytes: f.Bytes, Left: f.Left}
	}
	return out
}

// Seeder seeds, from now on.
type Seeder interface {
	Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (seed.Report, error)
	Recommend(id chunk.ID, size int64)
	// MaySeed says whether somebody who is another user may name path.
	MaySeed(path string) bool
}

type recommendation struct {
	ID   chunk.ID `json:"id"`
	Size int64    `json:"size"`
}

// ServeSeeder answers requests to seed.
func (s *Server) ServeSeeder(d Seeder) {
	stream(s, "POST /v1/seed", maxList, func(ctx context.Context, in SeedRequest, out *Stream) (seed.Report, error) {
		for _, p := range in.Paths {
			if !filepath.IsAbs(string(p)) {
				return seed.Report{}, badf("the path %q is not absolute", p)
			}
			if c := CallerOf(ctx); !c.Same && !d.MaySeed(string(p)) {
				return seed.Report{}, fmt.Errorf("%s: %w", p, badCaller(c))
			}
		}
		o := seed.Options{Paths: texts(in.Paths), Exclude: in.Exclude, FollowLinks: in.FollowLinks, Rehash: in.Rehash}
		return d.Seed(ctx, o, func(e seed.Event) { out.Event(seedEventOf(e)) })
	})
	handle(s, "POST /v1/recommend", func(ctx context.Context, in recommendation) (struct{}, error) {
		d.Recommend(in.ID, in.Size)
		return struct{}{}, nil
	})
}

// badCaller says that a path may not be named by another user.
func badCaller(c Caller) error {
	return fmt.Errorf("%w: the daemon runs as another user than uid %d", ErrRefused, c.UID)
}

// Seed is the daemon's: it returns when all is hashed, and the daemon goes on offering it.
func (c *Client) Seed(ctx context.Context, o seed.Options, emit func(seed.Event)) (report seed.Report, err error) {
	in := SeedRequest{Exclude: o.Exclude, FollowLinks: o.FollowLinks, Rehash: o.Rehash}
	for _, p := range o.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return report, err
		}
		in.Paths = append(in.Paths, Path(abs))
	}
	err = c.Stream(ctx, "/v1/seed", in, func(text json.RawMessage) error {
		var e seedEvent
		if err := json.Unmarshal(text, &e); err != nil {
			return err
		}
		if emit != nil {
			emit(e.event())
		}
		return nil
	}, nil, &report)
	return report, err
}

// Recommend is node.Node.Recommend by the daemon. It is advice: one that is not taken is none.
func (c *Client) Recommend(id chunk.ID, size int64) {
	_ = c.Call(c.ctx, "POST", "/v1/recommend", recommendation{id, size}, nil)
}
