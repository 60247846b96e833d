//go:build unix

package seed

import "syscall"

// openFlags: a pipe that took the place of a file is opened at once, and then refused.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// maxPath is the longest path in bytes that the system opens (PATH_MAX without its
// NUL): what lies deeper can be walked, but not be served.
const maxPath = 4095
