//go:build race

package wire

// raceFactor is how much slower the race detector may make us.
const raceFactor = 20
