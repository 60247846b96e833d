// Package folder reads and writes manifests: a folder as one id.
//
// A manifest names the files of a folder with sizes, hashes and little else. It is itself a
// content, of one page or of several, so that every node that can carry a file can carry a folder;
// the folder's id is the BLAKE3 of its first page. DESIGN.md, "Folders", is the format, for other
// programs to adopt.
//
// What it promises:
//   - The same folder gives the same bytes: pages are canonical JSON (RFC 8785) in one order.
//   - What [Read] returns can be trusted to be well formed, whoever wrote it: paths stay below the
//     folder, in order, each once, no file is a folder too, and all limits hold. Whether the sizes are
//     true only the contents tell.
//   - A page costs memory in proportion to its own bytes, at most [MaxPage], and reading stops at the
//     first fault. Pages cannot nest, so there are no cycles.
//
// What it does not: it opens and fetches nothing; names that one target cannot hold are found by
// [Target.Check], for they are right elsewhere.
package folder

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sharer/chunk"
)

// The limits of the format. Whoever needs more makes several folders.
const (
	MaxPage  = 1 << 20   // bytes of a page
	MaxPages = 512       // of one folder, the first one counted
	MaxFiles = 1_000_000 // of one folder
	MaxDirs  = MaxFiles  // folders in one folder: each costs an inode where it is fetched
	MaxPath  = 4095      // bytes of a path: PATH_MAX of Linux without its NUL
	MaxPart  = 255       // bytes of a part of it, and of a folder's name: NAME_MAX
	MaxDepth = 128       // parts of a path
	MaxSize  = 1<<53 - 1 // bytes of all files together: what every JSON reader holds exactly (RFC 7493)
	MaxMtime = 253402300799
)

var (
	// ErrFormat is wrapped by all errors about a manifest that breaks the rules.
	ErrFormat = errors.New("not a folder's manifest")
	// ErrVersion is wrapped by the error for a manifest of a later format.
	ErrVersion = errors.New("made by a newer version")
)

// File is a file of a folder.
type File struct {
	Path       string // below the folder, with slashes; CheckPath has passed it
	Size       int64  // bytes
	BLAKE3     chunk.Hash
	SHA256     chunk.Hash // zero: not said
	Mtime      int64      // seconds since 1970, at most MaxMtime; 0: not said
	Executable bool
	Hidden     bool // to be skipped unless asked for; always so when a part of Path starts with a dot
}

// ID is the content's id by its BLAKE3.
func (f File) ID() chunk.ID { return chunk.ID{Kind: chunk.BLAKE3, Hash: f.BLAKE3} }

// Also is the content's id by its SHA-256, the zero ID where that is not said.
func (f File) Also() chunk.ID {
	if f.SHA256 == (chunk.Hash{}) {
		return chunk.ID{}
	}
	return chunk.ID{Kind: chunk.SHA256, Hash: f.SHA256}
}

// IDs are all that are said of the content.
func (f File) IDs() []chunk.ID {
	if also := f.Also(); also != (chunk.ID{}) {
		return []chunk.ID{f.ID(), also}
	}
	return []chunk.ID{f.ID()}
}

// Is says whether hashes are those of the content.
func (f File) Is(s chunk.Sums) bool {
	return s.BLAKE3 == f.BLAKE3 && (f.SHA256 == chunk.Hash{} || f.SHA256 == s.SHA256)
}

// Folder is a whole folder, its files in the order of the bytes of their paths.
type Folder struct {
	Name  string // for display and as a default; "" if not said
	Files []File
}

// New puts files into order and checks them as Read does. The slice is the folder's from then on.
func New(name string, files []File) (Folder, error) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := range files {
		files[i].Hidden = files[i].Hidden || dotted(files[i].Path)
	}
	f := Folder{Name: name, Files: files}
	var c checker
	if err := c.name(name); err != nil {
		return Folder{}, err
	}
	for _, file := range files {
		if err := c.file(file); err != nil {
			return Folder{}, err
		}
	}
	return f, f.checkParents()
}

// Size is the sum of the sizes in bytes.
func (f Folder) Size() int64 {
	var n int64
	for _, file := range f.Files {
		n += file.Size
	}
	return n
}

// find returns the file of this very path.
func (f Folder) find(path string) (int, bool) {
	return slices.BinarySearchFunc(f.Files, path, func(a File, p string) int { return strings.Compare(a.Path, p) })
}

// checker sees the files of a folder one after the other. The zero value is one.
type checker struct {
	last  string
	files int
	dirs  int
	size  int64
}

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

func (c *checker) name(name string) error {
	if name == "" {
		return nil
	}
	if err := CheckPath(name); err != nil {
		return formatError("name %s: %v", quote(name), err)
	}
	if strings.Contains(name, "/") {
		return formatError("name %s holds a slash", quote(name))
	}
	return nil
}

// emptyBLAKE3 is the hash of nothing.
var emptyBLAKE3 = chunk.RootOfBlock(nil)

// file checks the next file by itself and against those before it, but for checkParents.
func (c *checker) file(f File) error {
	if c.files++; c.files > MaxFiles {
		return formatError("more than %d files", MaxFiles)
	}
	if err := CheckPath(f.Path); err != nil {
		return formatError("path %s: %v", quote(f.Path), err)
	}
	switch {
	case c.files > 1 && f.Path == c.last:
		return formatError("path %s is there twice", quote(f.Path))
	case c.files > 1 && f.Path < c.last:
		return formatError("path %s is not in order", quote(f.Path))
	case f.Size < 0 || f.Size > MaxSize:
		return formatError("size of %s is %d, want 0 to 2^53-1", quote(f.Path), f.Size)
	case f.BLAKE3 == chunk.Hash{}:
		return formatError("blake3 of %s is missing", quote(f.Path))
	case (f.Size == 0) != (f.BLAKE3 == emptyBLAKE3):
		return formatError("size of %s is false: only nothing has the hash of nothing", quote(f.Path))
	case f.Mtime < 0 || f.Mtime > MaxMtime:
		return formatError("mtime of %s is %d, want 0 to %d", quote(f.Path), f.Mtime, MaxMtime)
	}
	if c.size += f.Size; c.size > MaxSize {
		return formatError("more than 2^53-1 bytes in all")
	}
	if c.dirs += newDirs(c.last, f.Path); c.dirs > MaxDirs {
		return formatError("more than %d folders", MaxDirs)
	}
	c.last = f.Path
	return nil
}

// newDirs is how many folders of path are not among those of last. Those that share a folder
// follow each other in the order of bytes, so all sums up to the number of folders.
func newDirs(last, path string) int {
	n := strings.Count(path, "/")
	for i := 0; i < len(path); i++ {
		if i >= len(last) || last[i] != path[i] {
			break
		}
		if path[i] == '/' {
			n--
		}
	}
	return n
}

// checkParents finds a file that is a folder too. Between "a" and "a/b" others may stand.
func (f Folder) checkParents() error {
	last := ""
	for _, file := range f.Files {
		shared := 0 // bytes that path and last begin with
		for shared < min(len(last), len(file.Path)) && last[shared] == file.Path[shared] {
			shared++
		}
		for i := shared; i < len(file.Path); i++ {
			if file.Path[i] != '/' {
				continue
			}
			if _, there := f.find(file.Path[:i]); there {
				return formatError("%s is a file and a folder", quote(file.Path[:i]))
			}
		}
		last = file.Path
	}
	return nil
}

// dotted says whether a part of a path starts with a dot.
func dotted(path string) bool { return strings.HasPrefix(path, ".") || strings.Contains(path, "/.") }

// quote shows a stranger's text in an error: escaped, and no more than 80 bytes.
func quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%+q…", s[:80])
	}
	return fmt.Sprintf("%+q", s)
}
