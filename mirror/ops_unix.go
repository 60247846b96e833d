//go:build unix && !linux

package mirror

import "os"

func flush(f *os.File) error { return f.Sync() }
