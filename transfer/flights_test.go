package transfer

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharer/chunk"
)

// TestFlightsModel compares flights with a plain list of requests.
func TestFlightsModel(t *testing.T) {
	const (
		reorder = 10 * time.Millisecond
		tail    = 40 * time.Millisecond
		rto     = 100 * time.Millisecond
		memory  = time.Second
	)
	rapid.Check(t, func(t *rapid.T) {
		type out struct {
			sent  time.Time
			order int
			cost  int
			lost  bool
			again bool
		}
		f := newFlights()
		order := 0
		model := map[request]out{}
		now := time.Unix(1000, 0)
		var newest time.Time
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				live, bytes := 0, 0
				for r, o := range model {
					if !o.lost {
						live++
						bytes += o.cost
						if !f.has(r) {
							t.Fatalf("%v is out and not known", r)
						}
					}
				}
				if f.live != live || f.bytes != bytes {
					t.Fatalf("%d live with %d bytes, want %d with %d", f.live, f.bytes, live, bytes)
				}
				if _, ok := f.due(waits{rto: rto}); ok != (live > 0) {
					t.Fatalf("due: %v with %d live", ok, live)
				}
			},
			"send": func(t *rapid.T) {
				r := request{tree: rapid.Bool().Draw(t, "tree"), path: rapid.Bool().Draw(t, "path"), at: rapid.Int64Range(0, 9).Draw(t, "at")}
				cost := rapid.IntRange(1, 5700).Draw(t, "cost")
				f.add(r, flight{sent: now, cost: int32(cost)})
				order++
				_, again := model[r]
				model[r] = out{sent: now, order: order, cost: cost, again: again}
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "ms")) * time.Millisecond)
			},
			"answer": func(t *rapid.T) {
				r := request{tree: rapid.Bool().Draw(t, "tree"), path: rapid.Bool().Draw(t, "path"), at: rapid.Int64Range(0, 9).Draw(t, "at")}
				fl, ok := f.answer(r)
				o, known := model[r]
				if ok != known || ok && (fl.lost != o.lost || !fl.sent.Equal(o.sent) || int(fl.cost) != o.cost) {
					t.Fatalf("answer %v: %+v %v, want %+v %v", r, fl, ok, o, known)
				}
				delete(model, r)
				if known && o.sent.After(newest) {
					newest = o.sent
				}
			},
			"one is not there": func(t *rapid.T) {
				r, fl, ok := f.giveUpFirst()
				first, any := request{}, false
				for m, o := range model {
					if !m.tree && !o.lost && (!any || o.order < model[first].order) {
						first, any = m, true
					}
				}
				if ok != any || ok && (r != first || !fl.lost) {
					t.Fatalf("given up %v %v, want %v %v", r, ok, first, any)
				}
				if ok {
					o := model[first]
					o.lost = true
					model[first] = o
				}
			},
			"expire": func(t *rapid.T) {
				w := waits{reorder: reorder, rto: rto, memory: memory}
				if rapid.Bool().Draw(t, "nothing else to ask") {
					w.tail = tail
				}
				type given struct {
					request
					byOrder bool
				}
				var lost, want []given
				timedOut := f.expire(now, w, func(r request, _ flight, byOrder bool) { lost = append(lost, given{r, byOrder}) })
				var live []request
				for r, o := range model {
					if o.lost && now.Sub(o.sent) > memory {
						delete(model, r)
					} else if !o.lost {
						live = append(live, r)
					}
				}
				slices.SortFunc(live, func(a, b request) int { return cmp.Compare(model[a].order, model[b].order) })
				wantOut := false
				for _, r := range live {
					o := model[r]
					sure := newest.Sub(o.sent) > reorder || w.tail > 0 && !o.again && now.Sub(o.sent) > tail
					if !sure && now.Sub(o.sent) <= rto {
						if due, ok := f.due(w); !ok || !due.After(now.Add(-1)) {
							t.Fatalf("due %v, %v though all was given up at %v", due, ok, now)
						}
						break
					}
					wantOut = wantOut || !sure
					o.lost = true
					model[r] = o
					want = append(want, given{r, sure})
				}
				if !slices.Equal(lost, want) || timedOut != wantOut {
					t.Fatalf("lost %v (timed out: %v), want %v (%v)", lost, timedOut, want, wantOut)
				}
			},
		})
		// What is dropped was live or remembered, and nothing else goes.
		f.drop(func(r request) bool { return r.tree }, func(r request, _ flight) {
			if o, ok := model[r]; !ok || o.lost || !r.tree {
				t.Fatalf("dropped %v, which was not live", r)
			}
			delete(model, r)
		})
		for r, o := range model {
			if r.tree && !o.lost {
				t.Fatalf("drop left %v out", r)
			}
			if _, ok := f.answer(r); ok == r.tree {
				t.Fatalf("%v is known: %v", r, ok)
			}
		}
		if f.live != 0 || f.bytes != 0 {
			t.Fatalf("%d live with %d bytes are left", f.live, f.bytes)
		}
	})
}

// A part that is out of a block which is not asked for any more is not that block: whose
// other request for it is lost must be asked for again.
func TestPartOfADroppedBlockIsNotTheBlock(t *testing.T) {
	whole := request{at: 3 * chunk.BlockSize}
	now := time.Unix(1, 0)
	one, other := newSource(0, netip.AddrPort{}, nil), newSource(1, netip.AddrPort{}, nil)
	d := &Download{sources: []*source{one, other}}
	d.pick.reset(64*chunk.BlockSize, chunk.Ranges{})
	d.pick.limit = 1
	cur := noRun
	for b := int64(-1); b != 3; {
		b, _ = d.pick.take(asker{cur: &cur})
	}
	other.parts.begin(whole, chunk.BlockSize, partBytes)
	part, _, n, _ := other.parts.next()
	other.flights.add(part, flight{sent: now, n: int32(n), part: true})
	if !d.inFlightElsewhere(one, whole) {
		t.Fatal("a block that another peer is asked for in parts is not in flight")
	}
	other.parts.drop(whole)
	d.lost(one, whole, flight{})
	if d.pick.stripeOf(3).asked>>3&1 == 1 {
		t.Error("nobody is asked for the block, and it counts as asked")
	}
}
