package chunk

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// openRead opens for reading. A link is opened itself here, and seen to be no regular file afterwards. It shares the file
// for everything, deletion too, so that a seeded file stays its user's.
func openRead(path string) (*os.File, error) {
	return openShared(path, windows.GENERIC_READ, windows.OPEN_EXISTING)
}

// openShared opens a file in a way that lets everybody read, write, rename and remove it meanwhile, and follows no
// link.
func openShared(name string, access, how uint32) (*os.File, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	h, err := windows.CreateFile(path, access,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, how,
		windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

func isLinkError(error) bool { return false }
