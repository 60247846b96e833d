package seed

import (
	"context"

	"sharer/chunk"
)

// Sight is a file or a folder as a look found it.
type Sight struct {
	Path       string // absolute, without links on its way
	Rel        string // below the folder, with slashes; "" for the folder itself; of a file named itself its base name
	Folder     bool
	Stamp      chunk.Stamp // of a file
	Executable bool        // its owner may execute it
}

// Look walks o.Paths by the rules of Scan, and tells what is there without opening any file: a walk of stats. A folder is told
// before its names are read, so that who watches it from then on misses nothing. fail is told what could not be looked
// at. Both are called in the caller's goroutine. The error is the cause of ctx, or one of Options.
func Look(ctx context.Context, o Options, see func(Sight), fail func(path string, err error)) error {
	if err := o.validate(); err != nil {
		return err
	}
	s := &scan{Options: o, see: see, unseen: fail}
	if err := s.walk(ctx); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// looked tells of a file in place of handing it to a hasher.
func (s *scan) looked(j job) {
	s.see(Sight{Path: j.path, Rel: j.rel, Stamp: chunk.StampOf(j.looks), Executable: j.looks.Mode()&0o100 != 0})
}
