//go:build !unix

package atomicfile

func syncFolder(string) error { return nil }
