package store

// Space is how many bytes are free to us on the disk of a folder, and how many it has.
func Space(dir string) (free, total int64, err error) { return diskSpace(dir) }
