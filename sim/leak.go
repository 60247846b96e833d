package sim

import (
	"regexp"
	"runtime"
	"strings"
)

var bubble = regexp.MustCompile(`synctest bubble \d+`)

// bubbleGoroutines returns the stacks of the other goroutines of the caller's bubble, but for those of the testing
// package and of cleanups.
func bubbleGoroutines() (left []string) {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < 64<<20 {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := strings.Split(string(buf[:n]), "\n\n")
	head, _, _ := strings.Cut(all[0], "\n") // the caller's own is the first
	own := bubble.FindString(head)
	for _, g := range all[1:] {
		head, rest, _ := strings.Cut(g, "\n")
		if own != "" && bubble.FindString(head) == own && !strings.HasPrefix(rest, "internal/synctest.Run") && !strings.HasPrefix(rest, "testing") {
			left = append(left, g)
		}
	}
	return left
}

// joinStacks is the first few stacks, for people.
func joinStacks(left []string) string {
	const most = 5
	return strings.Join(left[:min(len(left), most)], "\n\n")
}
