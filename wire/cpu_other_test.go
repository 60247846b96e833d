//go:build !unix

package wire

import "time"

// cpuTime is not known here: what it would bound is not bounded.
func cpuTime() time.Duration { return 0 }
