//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package chunk

// renameNew is a rename that fails with ErrExists instead of replacing a file.
func renameNew(from, to string) error { return renameLinked(from, to) }

// bootID: not asked for here, so only what was synced is trusted without being hashed again.
func bootID() string { return "" }
