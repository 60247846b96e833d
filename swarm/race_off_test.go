//go:build !race

package swarm

const raceFactor = 1
