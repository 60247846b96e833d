package transfer

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFlightsModel compares flights with a plain list of requests.
func TestFlightsModel(t *testing.T) {
	const (
		reorder = 10 * time.Millisecond
		rto     = 100 * time.Millisecond
		memory  = time.Second
	)
	rapid.Check(t, func(t *rapid.T) {
		type out struct {
			sent time.Time
			lost bool
		}
		f := newFlights()
		model := map[request]out{}
		now := time.Unix(1000, 0)
		var newest time.Time
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				live := 0
				for r, o := range model {
					if !o.lost {
						live++
						if !f.has(r) {
							t.Fatalf("%v is out and not known", r)
						}
					}
				}
				if f.live != live {
					t.Fatalf("%d live, want %d", f.live, live)
				}
				if _, ok := f.oldest(); ok != (live > 0) {
					t.Fatalf("oldest: %v with %d live", ok, live)
				}
			},
			"send": func(t *rapid.T) {
				r := request{tree: rapid.Bool().Draw(t, "tree"), at: rapid.Int64Range(0, 9).Draw(t, "at")}
				f.add(r, now)
				model[r] = out{sent: now}
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "ms")) * time.Millisecond)
			},
			"answer": func(t *rapid.T) {
				r := request{tree: rapid.Bool().Draw(t, "tree"), at: rapid.Int64Range(0, 9).Draw(t, "at")}
				sent, late, ok := f.answer(r)
				o, known := model[r]
				if ok != known || ok && (late != o.lost || !sent.Equal(o.sent)) {
					t.Fatalf("answer %v: %v %v %v, want %v %v", r, sent, late, ok, o, known)
				}
				delete(model, r)
				if known && o.sent.After(newest) {
					newest = o.sent
				}
			},
			"expire": func(t *rapid.T) {
				var lost, want []request
				timedOut := f.expire(now, reorder, rto, memory, func(r request) { lost = append(lost, r) })
				wantOut := false
				for r, o := range model {
					switch {
					case o.lost && now.Sub(o.sent) > memory:
						delete(model, r)
					case !o.lost && (newest.Sub(o.sent) > reorder || now.Sub(o.sent) > rto):
						wantOut = wantOut || newest.Sub(o.sent) <= reorder
						model[r] = out{sent: o.sent, lost: true}
						want = append(want, r)
					}
				}
				order := func(a, b request) int { return int(a.at-b.at)*2 + btoi(a.tree) - btoi(b.tree) }
				slices.SortFunc(lost, order)
				slices.SortFunc(want, order)
				if !slices.Equal(lost, want) || timedOut != wantOut {
					t.Fatalf("lost %v (timed out: %v), want %v (%v)", lost, timedOut, want, wantOut)
				}
			},
		})
		live := f.clear()
		for _, r := range live {
			if o, ok := model[r]; !ok || o.lost {
				t.Fatalf("cleared %v, which was not live", r)
			}
			delete(model, r)
		}
		for r, o := range model {
			if !o.lost {
				t.Fatalf("clear left %v out", r)
			}
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
