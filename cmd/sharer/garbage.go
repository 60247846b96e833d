package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// gcPercent lets four times of what lives pile up before it is collected, where the default is once: what lives is a few MB, and 10,000
// small contents make a GB of garbage, which took 13 % of the time. Of a node with a million files 80 MiB live, and five times as
// much would be resident: so garbage is at most what mostGarbage says, or a quarter of what lives.
const (
	gcPercent    = 400
	leastPercent = 25
	mostGarbage  = 32 << 20
)

// percentFor is what garbage may be, in percent of what lives.
func percentFor(live uint64) int {
	return int(min(max(mostGarbage*100/max(live, 1), leastPercent), gcPercent))
}

// boundGarbage keeps to percentFor, unless the user has said what else to do.
func boundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	b := &garbage{percent: gcPercent}
	runtime.SetFinalizer(b, (*garbage).collected)
}

// garbage is found dead by each collection, and lives again: its finalizer is the one thing that runs once for each.
type garbage struct {
	percent int
	sample  [1]metrics.Sample
}

func (b *garbage) collected() {
	b.sample[0].Name = "/gc/heap/live:bytes"
	metrics.Read(b.sample[:])
	if b.sample[0].Value.Kind() == metrics.KindUint64 {
		// Each change stops the program for some microseconds.
		if p := percentFor(b.sample[0].Value.Uint64()); p != b.percent && (p == gcPercent || p < b.percent*9/10 || p > b.percent*11/10) {
			b.percent = p
			debug.SetGCPercent(p)
		}
	}
	runtime.SetFinalizer(b, (*garbage).collected)
}
