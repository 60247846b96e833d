package mirror

import (
	"os"
	"testing"
)

// TestMain has the files of tests in memory where the system offers that: they sync a thousand times, and what a disk makes of
// it is for e2e, which kills real processes on a real one.
func TestMain(m *testing.M) {
	const memory = "/dev/shm"
	if dir, err := os.MkdirTemp(memory, "mirror-test-"); err == nil {
		if err := os.Setenv("TMPDIR", dir); err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) // what tests have left
	}
	m.Run()
}
