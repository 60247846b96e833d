package daemon

import (
	"runtime"
	"runtime/metrics"
	"time"

	"sharer/control"
	"sharer/store"
)

// Status is one look at the daemon.
func (d *Daemon) Status() control.Status {
	s := control.Status{Uptime: time.Since(d.started).Seconds(), Limits: d.Limits(), Free: -1, Routines: runtime.NumGoroutine()}
	for _, m := range d.Mappings() {
		s.Mappings = append(s.Mappings, m.String())
	}
	st := d.Stats()
	s.Peers, s.Proven, s.Unproven = st.Peers, st.Proven, st.Unproven
	s.In, s.Sent = st.Gate.InWire, st.Uploads.Bytes
	for _, n := range st.Gate.OutWire {
		s.Out += n
	}
	if free, _, err := store.Space(d.cfg.Node.StateDir); err == nil {
		s.Free = free
	}
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(memory)
	s.Memory = memory[0].Value.Uint64() - memory[1].Value.Uint64()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Seeds, s.Hashing, s.Jobs = len(d.seeds), len(d.hashing), len(d.running)
	for _, seed := range d.seeds {
		s.Files += seed.Files
		s.Bytes += seed.Bytes
	}
	for _, j := range d.saved.Jobs {
		if j.State == JobWaiting {
			s.Waiting++
		}
	}
	return s
}
