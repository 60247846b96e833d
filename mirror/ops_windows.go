package mirror

import "os"

// flush: a file that is open for reading cannot be flushed here; the system does it in its own time.
func flush(*os.File) error { return nil }
