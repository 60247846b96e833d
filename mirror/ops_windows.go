package mirror

import "os"

// flush: a file that is open for reading cannot be flushed here; the system does it in its own time.
func flush(*os.File) error { return nil }

// onlyName: the number of names is not in the FileInfo here, so that modes and times of contents stay.
func onlyName(os.FileInfo) bool { return false }

func syncDir(string) error { return nil }
