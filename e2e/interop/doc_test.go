//go:build linux

// Package interop lets the real program meet the other programs of the swarm, each in a network namespace of its
// own that has no default route, and prints one table of what they can do for one another.
//
//	SHARER_INTEROP=1 SHARER_RUST=/path/to/cjp2p go test -v -timeout 60m ./e2e/interop
//
// It needs root and ip. Rows of a program that is not named are skipped, and say so; without SHARER_INTEROP=1
// everything is. SHARER_E2E_BIG=1 adds 1 GiB. SHARER_E2E_BIN is a binary of sharer that was built already,
// SHARER_INTEROP_KEEP=1 leaves folders and outputs behind for a look.
//
// The programs are not part of this project, nor is a way to build them. What they taught is in
// the vectors and in the behaviours of sim, which run everywhere.
package interop
