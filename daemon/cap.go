package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sharer/control"
	"sharer/internal/atomicfile"
	"sharer/limit"
	"sharer/mirror"
	trees "sharer/mirror/web"
)

const (
	trafficName = "traffic.json"
	capLook     = 5 * time.Second // so long more than a cap may pass
	capSaved    = time.Minute     // so long a crash forgets
)

// traffic is what has passed in this month, guarded by Daemon.mu.
type traffic struct {
	spent    limit.Spent
	up, down uint64 // of the node, and by HTTP, when it was counted last
	saved    time.Time
	kept     limit.Spent // as it was saved
}

func (d *Daemon) trafficFile() string { return filepath.Join(d.cfg.Node.StateDir, trafficName) }

// loadTraffic reads what earlier runs have counted. A document that cannot be read is one of nothing, and is said so.
func (d *Daemon) loadTraffic() {
	if d.cfg.Cap == (limit.Cap{}) {
		return
	}
	text, err := os.ReadFile(d.trafficFile())
	if err == nil {
		err = json.Unmarshal(text, &d.traffic.spent)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.traffic.spent = limit.Spent{}
		d.notes = append(d.notes, fmt.Sprintf("what has passed in this month is not known, and counted anew: %v", err))
	}
	d.traffic.kept = d.traffic.spent
}

// capLocked counts, and returns the rates that a cap leaves of others.
func (d *Daemon) capLocked(now time.Time, r limit.Rates) limit.Rates {
	if d.cfg.Cap == (limit.Cap{}) {
		return r
	}
	t := &d.traffic
	g := d.Stats().Gate
	up, down := d.served.Load(), g.InWire+d.plain.Load()
	for _, n := range g.OutWire {
		up += n
	}
	before := d.cfg.Cap.Rates(t.spent, r, d.cfg.CapThen)
	t.spent.Add(now, int64(up-t.up), int64(down-t.down))
	t.up, t.down = up, down
	after := d.cfg.Cap.Rates(t.spent, r, d.cfg.CapThen)
	if before != after {
		d.log.Info("the cap of the month", "cap", d.cfg.Cap.String(), "up", t.spent.Up, "down", t.spent.Down, "limits", after.String())
	}
	if now.Sub(t.saved) >= capSaved {
		d.saveTrafficLocked(now)
	}
	return after
}

func (d *Daemon) saveTrafficLocked(now time.Time) {
	t := &d.traffic
	if d.cfg.Cap == (limit.Cap{}) || t.spent == t.kept {
		return
	}
	text, err := json.Marshal(t.spent)
	if err == nil {
		err = atomicfile.Write(d.trafficFile(), text, atomicfile.How{})
	}
	if t.saved = now; err != nil {
		d.log.Warn("what has passed in this month cannot be written down", "err", err)
		return
	}
	t.kept = t.spent
}

// endTraffic writes down what has passed until now.
func (d *Daemon) endTraffic() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.capLocked(now, limit.Rates{})
	d.saveTrafficLocked(now)
}

// capUseLocked is what is told of a cap; nil: there is none.
func (d *Daemon) capUseLocked() *control.CapUse {
	if d.cfg.Cap == (limit.Cap{}) {
		return nil
	}
	return &control.CapUse{Cap: d.cfg.Cap, Spent: d.traffic.spent, Then: d.cfg.CapThen}
}

// spendWeb lets some of an answer by HTTP go to another machine, within the limits and the cap of all that leaves.
func (d *Daemon) spendWeb(ctx context.Context, most int) (int, error) {
	n, err := d.SpendUp(ctx, most)
	if err == nil {
		d.served.Add(uint64(n))
	}
	return n, err
}

// fetchPlain counts what plain copies of mirrors bring.
func (d *Daemon) fetchPlain(ctx context.Context, p mirror.Plain) error {
	write := p.Write
	p.Write = func(b []byte) error {
		d.plain.Add(uint64(len(b)))
		return write(b)
	}
	return trees.Fetch(ctx, p)
}
