package seed

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Reasons of Skipped events, as people read them.
const (
	Hidden      = "hidden"                   // .git is one of them
	EditorFile  = "editor's temporary file"  // *~  #*#
	PartialFile = "unfinished download"      // *.part  *.part.sharer
	Excluded    = "excluded"                 // by Options.Exclude
	Private     = "the own state folder"     // Options.Private
	NotRegular  = "not a file or folder"     // pipe, socket, device
	Link        = "symbolic link"            // FollowLinks is off
	LinkOut     = "link out of the folder"   // or to a folder above itself
	LinkLoop    = "link followed before"     // to a folder that another link led to
	LinkBroken  = "link that leads nowhere"  //
	Gone        = "gone while it was walked" //
)

// skipName says why a name inside a folder is left out, "" if it is not. (.*.swp of
// vi are hidden.)
func skipName(name string) string {
	switch {
	case strings.HasPrefix(name, "."):
		return Hidden
	case strings.HasSuffix(name, "~"), len(name) > 1 && strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"):
		return EditorFile
	case strings.HasSuffix(name, ".part"), strings.HasSuffix(name, ".part.sharer"):
		return PartialFile
	}
	return ""
}

// errPrivate is what naming Options.Private, or a file in it, leads to.
var errPrivate = errors.New("it is of the state folder, where your secret key lies: that is shared with nobody")

// private says whether a folder is Options.Private, by whatever path it was found.
func (o *Options) private(dir fs.FileInfo) bool {
	if o.Private == "" {
		return false
	}
	fi, err := os.Stat(o.Private)
	return err == nil && os.SameFile(fi, dir)
}

// Passes says whether a path below the folder, with slashes, is left out, by its name or by a pattern, or a folder on the way
// to it is. The folder itself (.) never is.
func (o *Options) Passes(rel string) bool {
	if rel == "." {
		return false
	}
	parts := strings.Split(rel, "/")
	for i := range parts {
		if skipName(parts[i]) != "" || o.excluded(strings.Join(parts[:i+1], "/"), parts[i]) {
			return true
		}
	}
	return false
}

// excluded says whether a pattern fits the relative path or the base name.
func (o *Options) excluded(rel, name string) bool {
	for _, glob := range o.Exclude {
		// The patterns were checked by validate.
		if ok, _ := path.Match(glob, rel); ok {
			return true
		}
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return false
}
