//go:build !unix

package seed

const openFlags = 0

const maxPath = 32 << 10
