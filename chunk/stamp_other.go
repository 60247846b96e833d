//go:build !(linux || darwin || freebsd)

package chunk

import "os"

// fill has nothing to add: size and mtime alone tell a changed file here. A program that writes and sets mtime back
// is not seen; the asker, who verifies, would see it.
func (s *Stamp) fill(os.FileInfo) {}
