//go:build !unix

package main

// allocated is not known here: the case that wants it ends by its patience.
func allocated(string) int64 { return 0 }
