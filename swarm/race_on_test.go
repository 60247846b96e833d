//go:build race

package swarm

// raceFactor makes the largest tests smaller where each access costs ten times as much.
const raceFactor = 20
