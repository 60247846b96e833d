package daemon

import (
	"errors"
	"net/http"
	"runtime"
	"time"

	"sharer/metrics"
	"sharer/mirror"
	"sharer/swarm"
)

// ops answers /metrics, /healthz and /readyz.
func (d *Daemon) ops() http.Handler {
	mux := http.NewServeMux()
	metrics.Register(mux, &d.metrics, health{d})
	return mux
}

// Metrics are what the daemon counts. Its parts add theirs before it answers.
func (d *Daemon) Metrics() *metrics.Registry { return &d.metrics }

// health says how the daemon is.
type health struct{ d *Daemon }

var _ metrics.Health = health{}

// Alive is asked by who restarts programs: it answers, so it lives.
func (h health) Alive() error {
	if h.d.ctx.Err() != nil {
		return errors.New("closing")
	}
	return nil
}

// Ready is not before the seeds of earlier runs are offered, nor while a mirror is too far behind.
func (h health) Ready() error {
	if !h.d.restored.Load() {
		return errors.New("hashing what earlier runs have seeded")
	}
	if err := h.d.mirrorsLag(); err != nil {
		return err
	}
	return h.Alive()
}

// set is what a family is given its values by.
type set = func(value float64, labels ...string)

// countNode makes the families of the node, which keeps the numbers itself.
func (d *Daemon) countNode() {
	r := &d.metrics
	r.GaugeFunc(metrics.Desc{Name: "sharer_info", Help: "1, with the version.", Labels: []string{"version", "go"}}, func(s set) {
		s(1, d.cfg.Release, runtime.Version())
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_start_time_seconds", Help: "When the daemon was started, in seconds since 1970."}, func(s set) {
		s(float64(d.started.UnixMilli()) / 1000)
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_bytes_total", Help: "Bytes on the wire, headers counted, by direction, and upwards by why they were sent.", Labels: []string{"dir", "kind"}}, func(s set) {
		g := d.Stats().Gate
		s(float64(g.InWire), "down", "all")
		for i, n := range g.OutWire {
			s(float64(n), "up", swarm.Reason(i).String())
		}
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_datagrams_total", Help: "Datagrams, by direction.", Labels: []string{"dir"}}, func(s set) {
		g := d.Stats().Gate
		s(float64(g.In), "down")
		var out uint64
		for _, n := range g.Out {
			out += n
		}
		s(float64(out), "up")
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_dropped_total", Help: "Datagrams that came and were not handled, by reason.", Labels: []string{"reason"}}, func(s set) {
		for i, n := range d.Stats().Gate.Dropped {
			s(float64(n), swarm.DropReason(i).String())
		}
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_refused_total", Help: "What the gate did not let out, by rule.", Labels: []string{"rule"}}, func(s set) {
		for i, n := range d.Stats().Gate.Refused {
			s(float64(n), swarm.Refusal(i).String())
		}
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_send_errors_total", Help: "Datagrams that the system refused, by fault.", Labels: []string{"fault"}}, func(s set) {
		for i, n := range d.Stats().Gate.Faults {
			s(float64(n), swarm.Fault(i).String())
		}
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_peers", Help: "Addresses in the table of peers, by whether they are proven.", Labels: []string{"proven"}}, func(s set) {
		st := d.Stats()
		s(float64(st.Proven), "yes")
		s(float64(st.Peers-st.Proven), "no")
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_requests_total", Help: "Requests for content, by what became of them.", Labels: []string{"result"}}, func(s set) {
		u := d.Stats().Uploads
		for result, n := range map[string]int64{"answered": u.Answered, "unknown": u.Unknown, "repeated": u.Repeated, "dropped": u.Dropped, "failed": u.Failed} {
			s(float64(n), result)
		}
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_content_sent_bytes_total", Help: "Bytes of content that were sent."}, func(s set) { s(float64(d.Stats().Uploads.Bytes)) })
	r.GaugeFunc(metrics.Desc{Name: "sharer_downloads", Help: "Downloads that run."}, func(s set) { s(float64(len(d.Stats().Downloads))) })
}

// countKept makes the families of what is kept: seeds, jobs, the store, the process itself.
func (d *Daemon) countKept() {
	r := &d.metrics
	r.GaugeFunc(metrics.Desc{Name: "sharer_seeds", Help: "Files and folders that are seeded."}, func(s set) {
		n, _, _ := d.seeded()
		s(float64(n))
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_seeded_files", Help: "Files of all seeds."}, func(s set) {
		_, n, _ := d.seeded()
		s(float64(n))
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_seeded_bytes", Help: "Bytes of all seeds."}, func(s set) {
		_, _, n := d.seeded()
		s(float64(n))
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_jobs", Help: "Downloads that the daemon was told to do, by state.", Labels: []string{"state"}}, func(s set) {
		d.mu.Lock()
		defer d.mu.Unlock()
		states := map[string]float64{"running": 0}
		for _, j := range d.saved.Jobs {
			states[string(j.State)]++
		}
		for state, n := range states {
			s(n, state)
		}
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_store_bytes", Help: "Bytes in the store."}, func(s set) {
		n, _ := d.Store().Usage()
		s(float64(n))
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_store_quota_bytes", Help: "Bytes that the store may hold."}, func(s set) {
		_, n := d.Store().Usage()
		s(float64(n))
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_store_free_bytes", Help: "Bytes that are free on the disk of the store."}, func(s set) { s(float64(freeOn(d.Store()))) })
	r.GaugeFunc(metrics.Desc{Name: "sharer_memory_bytes", Help: "Memory that the program has of the system, by its own count."}, func(s set) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s(float64(m.Sys - m.HeapReleased))
	})
	r.GaugeFunc(metrics.Desc{Name: "sharer_goroutines", Help: "Goroutines."}, func(s set) { s(float64(runtime.NumGoroutine())) })
	d.seedChanges = r.Counter(metrics.Desc{Name: "sharer_seed_changes_total", Help: "What the watch of seeds has found, by kind.", Labels: []string{"kind"}})
}

// seeded sums up the seeds.
func (d *Daemon) seeded() (seeds, files int, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.seeds {
		files += s.Files
		bytes += s.Bytes
	}
	return len(d.seeds), files, bytes
}

// countMirrors makes the families of mirrors and of deny lists.
func (d *Daemon) countMirrors() {
	r := &d.metrics
	of := func(name, help string, value func(m mirrorNumbers) float64) {
		r.GaugeFunc(metrics.Desc{Name: name, Help: help, Labels: []string{"mirror"}}, func(s set) {
			for _, m := range d.mirrorNumbers() {
				s(value(m), m.name)
			}
		})
	}
	of("sharer_mirror_lag_seconds", "For how long the latest version that is known has not been the one here.", func(m mirrorNumbers) float64 { return m.lag.Seconds() })
	of("sharer_mirror_seq", "Number of the version that is here.", func(m mirrorNumbers) float64 { return float64(m.seq) })
	of("sharer_mirror_bytes", "Bytes of the version that is here.", func(m mirrorNumbers) float64 { return float64(m.bytes) })
	of("sharer_mirror_last_success_timestamp_seconds", "When a version was complete last, in seconds since 1970.", func(m mirrorNumbers) float64 { return m.complete })
	of("sharer_mirror_held", "1 while a version is held back or the mirror is frozen.", func(m mirrorNumbers) float64 { return m.held })
	r.CounterFunc(metrics.Desc{Name: "sharer_scrub_errors_total", Help: "Files that the scrub has found damaged, in this round.", Labels: []string{"mirror"}}, func(s set) {
		for _, m := range d.mirrorNumbers() {
			s(float64(m.damaged), m.name)
		}
	})
	r.CounterFunc(metrics.Desc{Name: "sharer_denied_total", Help: "What deny lists have refused, by list.", Labels: []string{"list"}}, func(s set) {
		if b := d.Deny(); b != nil {
			for list, n := range b.Hits() {
				s(float64(n), list)
			}
		}
	})
}

// mirrorNumbers are those of one mirror.
type mirrorNumbers struct {
	name           string
	lag            time.Duration
	seq            int64
	bytes, damaged int64
	complete, held float64
}

func (d *Daemon) mirrorNumbers() (out []mirrorNumbers) {
	now := time.Now()
	for _, l := range d.Mirrors() {
		m := mirrorNumbers{name: l.Spec.Name, lag: l.Lag(now), seq: l.Current.Seq, bytes: l.Trace.Bytes, damaged: l.Scrub.Damaged}
		if !l.Trace.Complete.IsZero() {
			m.complete = float64(l.Trace.Complete.Unix())
		}
		if l.Doing == mirror.Held || l.Doing == mirror.Stopped {
			m.held = 1
		}
		out = append(out, m)
	}
	return out
}
