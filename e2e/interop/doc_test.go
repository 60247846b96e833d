//go:build linux

// Package interop lets the real program meet the other programs of the swarm, each in a network namespace of its
// own that has no default route, and prints one table of what they can do for one another.
//
//	SHARER_INTEROP=1 SHARER_RUST=/path/to/cjp2p SHARER_RUBY=/path/to/cjp2p.rb go test -timeout 60m ./e2e/interop
//
// It needs root and ip, and nc, python3 and ruby for their rows. A cell is ok, RED, theirs (it cannot work because of the
// other program, whatever we do) or skipped; how many of each there are stands at the end, and only RED fails the run. Rows
// of a program that is not named are skipped, and say so; without SHARER_INTEROP=1 everything is. SHARER_E2E_BIG=1 adds
// 1 GiB, both ways. SHARER_E2E_BIN is a binary of sharer that was built already, SHARER_INTEROP_KEEP=1 leaves folders and
// outputs behind for a look, and SHARER_INTEROP_RECORD=FILE writes what the Rust node says when it is asked as in
// testdata/vectors/habits.jsonl.
//
// The programs are not part of this project, nor is a way to build them. What they taught is in
// the vectors and in the behaviours of sim, which run everywhere.
package interop
