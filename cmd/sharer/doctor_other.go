//go:build !linux

package main

import "errors"

// lookAtSystem has nothing to look at: where these limits are is told for Linux only.
func lookAtSystem() []diagnosis { return nil }

func clockTrouble() string { return "" }

// portOwner cannot tell without opening a socket.
func portOwner(string, int) (p portUser, taken bool, err error) {
	return p, false, errors.New("who has it is not told on this system; try netstat")
}
