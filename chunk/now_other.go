//go:build !linux

package chunk

import "os"

// inMemory: nothing is known of the file system.
func inMemory(*os.File) bool { return false }

// readNow has no way to ask for what is in memory only.
func readNow(*os.File, []byte, int64, int64) (int, error) { return 0, ErrWouldWait }

// stampNow is the stamp of an open file.
func stampNow(f *os.File) (Stamp, error) {
	fi, err := f.Stat()
	if err != nil {
		return Stamp{}, err
	}
	return StampOf(fi), nil
}
