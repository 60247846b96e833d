//go:build !unix

package daemon

// syncDir: folders cannot be synced here; the file system orders a rename behind what it renames.
func syncDir(string) error { return nil }
