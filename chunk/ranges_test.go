package chunk

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRangesModel compares Ranges with a plain array of truth values.
func TestRangesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 40
		var s Ranges
		var model [n]bool
		var before Ranges
		bounds := func(label string) (int64, int64) {
			return rapid.Int64Range(0, n).Draw(t, label+" from"), rapid.Int64Range(0, n).Draw(t, label+" to")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(*rapid.T) {
				from, to := bounds("add")
				s.Add(from, to)
				for i := from; i < to; i++ {
					model[i] = true
				}
			},
			"remove": func(*rapid.T) {
				from, to := bounds("remove")
				s.Remove(from, to)
				for i := from; i < to; i++ {
					model[i] = false
				}
			},
			"clone": func(*rapid.T) { before = s; s = s.Clone(); before.Add(0, n) },
			"": func(t *rapid.T) {
				total := int64(0)
				for i := range int64(n) {
					if s.Has(i) != model[i] {
						t.Fatalf("Has(%d) = %v in %v", i, s.Has(i), s.All())
					}
					if model[i] {
						total++
					}
				}
				all := s.All()
				for i, r := range all {
					if r.From >= r.To || i > 0 && all[i-1].To >= r.From {
						t.Fatalf("ranges are not in order and apart: %v", all)
					}
				}
				if s.Total() != total || s.Len() != len(all) {
					t.Fatalf("Total %d, want %d; Len %d of %v", s.Total(), total, s.Len(), all)
				}
				checkGaps(t, s, model[:])
			},
		})
	})
}

func checkGaps(t *rapid.T, s Ranges, model []bool) {
	from := rapid.IntRange(0, len(model)).Draw(t, "gap from")
	to := rapid.IntRange(0, len(model)).Draw(t, "gap to")
	var want []Range
	contains := true
	for i := from; i < to; i++ {
		if model[i] {
			continue
		}
		contains = false
		if k := len(want) - 1; k >= 0 && want[k].To == int64(i) {
			want[k].To++
		} else {
			want = append(want, Range{int64(i), int64(i) + 1})
		}
	}
	if got := s.Gaps(int64(from), int64(to)); !slices.Equal(got, want) {
		t.Fatalf("Gaps(%d, %d) = %v, want %v in %v", from, to, got, want, s.All())
	}
	if got := s.Contains(int64(from), int64(to)); got != contains {
		t.Fatalf("Contains(%d, %d) = %v in %v", from, to, got, s.All())
	}
	end := from
	for end < len(model) && model[end] {
		end++
	}
	if got := s.End(int64(from)); got != int64(end) {
		t.Fatalf("End(%d) = %d, want %d in %v", from, got, end, s.All())
	}
}
