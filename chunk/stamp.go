package chunk

import "os"

// Stamp tells whether a file on disk is still the one that was hashed. It is comparable.
//
// A write changes mtime and ctime, which no program can set back without ctime telling; where the file system counts
// time in coarse ticks (some milliseconds), a write within the tick of the stamp is not seen.
type Stamp struct {
	Size         int64  // bytes
	Mtime, Ctime int64  // nanoseconds since 1970; Ctime is 0 where the system has none
	Ino, Dev     uint64 // 0 where the system has none
}

// Fits reports whether a file whose stamp is now is still the one of s. A Ctime of 0 is not compared: so files that only
// we write to may be given further names, which changes it.
func (s Stamp) Fits(now Stamp) bool {
	if s.Ctime == 0 {
		now.Ctime = 0
	}
	return s == now
}

// StampOf returns the stamp of a file from its Stat.
func StampOf(fi os.FileInfo) Stamp {
	s := Stamp{Size: fi.Size(), Mtime: fi.ModTime().UnixNano()}
	s.fill(fi)
	return s
}
