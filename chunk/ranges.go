package chunk

import (
	"slices"
	"sort"
)

// Range is half-open: From is in it, To is not. The unit, bytes or blocks, is the owner's.
type Range struct{ From, To int64 }

// Len is To-From.
func (r Range) Len() int64 { return r.To - r.From }

// Ranges is a set of integers kept as sorted, disjoint, non-touching, non-empty ranges; the zero value is empty.
// It costs 16 bytes a range, whatever the range's length. Copies share memory: use Clone. Not safe for concurrent use.
type Ranges struct{ rs []Range }

// search returns the index of the first range that ends behind i, or at i when touching.
func (s Ranges) search(i int64, touching bool) int {
	if n := len(s.rs); n > 0 && s.rs[n-1].To < i { // appending in order is the common case
		return n
	}
	return sort.Search(len(s.rs), func(k int) bool {
		return s.rs[k].To > i || touching && s.rs[k].To == i
	})
}

// Add puts [from, to) into the set; an empty or reversed range changes nothing.
func (s *Ranges) Add(from, to int64) {
	if from >= to {
		return
	}
	i := s.search(from, true)
	j := i
	for j < len(s.rs) && s.rs[j].From <= to {
		from, to = min(from, s.rs[j].From), max(to, s.rs[j].To)
		j++
	}
	s.rs = slices.Replace(s.rs, i, j, Range{from, to})
}

// Remove takes [from, to) out of the set.
func (s *Ranges) Remove(from, to int64) {
	if from >= to {
		return
	}
	i := s.search(from, false)
	j := i
	var keep [2]Range
	left := keep[:0]
	for j < len(s.rs) && s.rs[j].From < to {
		if r := s.rs[j]; r.From < from {
			left = append(left, Range{r.From, from})
		}
		if r := s.rs[j]; r.To > to {
			left = append(left, Range{to, r.To})
		}
		j++
	}
	s.rs = slices.Replace(s.rs, i, j, left...)
}

// Contains reports whether the whole of [from, to) is in the set; true for an empty range.
func (s Ranges) Contains(from, to int64) bool {
	if from >= to {
		return true
	}
	i := s.search(from, false)
	return i < len(s.rs) && s.rs[i].From <= from && to <= s.rs[i].To
}

// Has reports whether i is in the set.
func (s Ranges) Has(i int64) bool { return s.Contains(i, i+1) }

// End returns the end of the run that holds i, or i itself when i is not in the set.
func (s Ranges) End(i int64) int64 {
	if k := s.search(i, false); k < len(s.rs) && s.rs[k].From <= i {
		return s.rs[k].To
	}
	return i
}

// NextGap returns the first run within [from, to) that is not in the set; ok is false when there is none.
func (s Ranges) NextGap(from, to int64) (gap Range, ok bool) {
	if from = s.End(from); from >= to {
		return Range{}, false
	}
	if i := s.search(from, false); i < len(s.rs) {
		to = min(to, s.rs[i].From)
	}
	return Range{from, to}, true
}

// Gaps returns every run within [from, to) that is not in the set, in order.
func (s Ranges) Gaps(from, to int64) []Range {
	var gaps []Range
	for {
		g, ok := s.NextGap(from, to)
		if !ok {
			return gaps
		}
		gaps, from = append(gaps, g), g.To
	}
}

// Around returns at most n of the ranges: those that end behind i first, in order, then those from the start on.
func (s Ranges) Around(i int64, n int) []Range {
	n = min(n, len(s.rs))
	around := make([]Range, 0, n)
	for k := s.search(i, false); len(around) < n; k++ {
		around = append(around, s.rs[k%len(s.rs)])
	}
	return around
}

// Total is the number of integers in the set. It takes time proportional to Len.
func (s Ranges) Total() int64 {
	var n int64
	for _, r := range s.rs {
		n += r.Len()
	}
	return n
}

// Len is the number of ranges.
func (s Ranges) Len() int { return len(s.rs) }

// All returns a copy of the ranges, in order.
func (s Ranges) All() []Range { return slices.Clone(s.rs) }

// Clone returns an independent copy.
func (s Ranges) Clone() Ranges { return Ranges{slices.Clone(s.rs)} }
