//go:build !windows

package udp

// commonError is err: these systems use the names that callers ask for.
func commonError(err error) error { return err }
