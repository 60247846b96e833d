package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sharer/limit"
	"sharer/node"
)

// TestCap: what has passed counts over restarts, each direction by itself; when a month's cap is used up the rate is the one for
// then, whatever else is set; what is damaged is said.
func TestCap(t *testing.T) {
	state := t.TempDir()
	begin := func() *Daemon {
		t.Helper()
		d, err := Open(Config{Node: node.Config{StateDir: state, Listen: []string{"127.0.0.1:0"}, Isolated: true}, Cap: limit.Cap{Up: 1 << 40, Down: 1 << 20}, CapThen: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	look := func(d *Daemon) limit.Rates {
		d.mu.Lock()
		d.applyRatesLocked(time.Now())
		d.mu.Unlock()
		return d.Limits().Now
	}
	d := begin()
	d.plain.Add(1<<20 - 1000)
	if n, err := d.spendWeb(t.Context(), 5000); n != 5000 || err != nil {
		t.Errorf("without a limit: %d, %v", n, err)
	}
	if got := look(d); got != (limit.Rates{}) {
		t.Errorf("below the cap: %+v", got)
	}
	d.Close()
	d = begin()
	if use := d.Limits().Cap; use == nil || use.Spent.Down < 1<<20-1000 || use.Spent.Up < 5000 || use.Spent.Month != time.Now().Format("2006-01") {
		t.Errorf("after a restart: %+v", use)
	}
	d.plain.Add(1000)
	if got := look(d); got != (limit.Rates{Down: 1 << 10}) {
		t.Errorf("at the cap: %+v", got)
	}
	if _, err := d.SetLimits("512:2M"); err != nil {
		t.Fatal(err)
	}
	if got := look(d); got != (limit.Rates{Up: 512, Down: 1 << 10}) {
		t.Errorf("with other limits: %+v", got)
	}
	d.Close()
	if err := os.WriteFile(filepath.Join(state, trafficName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d = begin(); len(d.Notes()) == 0 || look(d).Down != 2<<20 {
		t.Errorf("a damaged count: %q, %+v", d.Notes(), d.Limits())
	}
}
