package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sharer/transfer"
)

// What leaves by another way waits for the same limit, and is told when it would wait for ever.
func TestSpendUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{up: transfer.NewLimit(false), down: transfer.NewLimit(true)}
		if k, err := n.SpendUp(t.Context(), 1<<20); k != 1<<20 || err != nil {
			t.Errorf("without a limit: %d, %v", k, err)
		}
		n.SetLimits(Limits{Up: 100_000})
		start, sum := time.Now(), 0
		for sum < 1_000_000 {
			k, err := n.SpendUp(t.Context(), 1<<20)
			if k <= 0 || err != nil {
				t.Fatalf("%d, %v", k, err)
			}
			sum += k
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("%d bytes at 100,000 a second in %v", sum, took)
		}
		n.SetLimits(Limits{Up: -1})
		if _, err := n.SpendUp(t.Context(), 1); !errors.Is(err, ErrLimited) {
			t.Errorf("where nothing may pass: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := n.SpendUp(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("nobody waits: %v", err)
		}
	})
}
