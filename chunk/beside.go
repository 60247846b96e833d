package chunk

import (
	"os"
	"path/filepath"
	"strings"
)

// CreateBeside creates a file for what gets the name path when it is whole: hidden, with a name of its own, and in the folder of
// path, since a file is not renamed from one file system to another. Its name ends in .part, which no walk offers.
func CreateBeside(path string) (*os.File, error) {
	const longest = 100 // bytes of a name that has to stay a name with what is put around it
	base := filepath.Base(path)
	base = strings.ToValidUTF8(base[:min(len(base), longest)], "_") // some file systems want whole characters
	return os.CreateTemp(filepath.Dir(path), "."+base+".*.part")
}
