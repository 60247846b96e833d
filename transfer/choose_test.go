package transfer

import "testing"

// All blocks wait for the tree: it is asked of a slow peer, or of one that seems to have none, where nobody else can be.
func TestWhoIsAskedForTheTree(t *testing.T) {
	for _, tc := range []struct {
		name  string
		s     source
		quick bool
		other int  // requests for pieces that the other peer has left unanswered
		gone  bool // the other peer answers nothing any more
		want  bool
	}{
		{"a fast one", source{}, true, 0, false, true},
		{"a slow one beside a fast one", source{slow: true}, true, 0, false, false},
		{"a slow one among slow ones", source{slow: true}, false, 0, false, true},
		{"one that knows the other hash only", source{also: true}, false, 0, false, false},
		{"one that left some unanswered, beside one that did not", source{noTree: 4}, false, 0, false, false},
		{"the same beside one that is no better", source{noTree: 4}, false, 5, false, true},
		{"the same beside one that is gone", source{noTree: 4}, false, 0, true, true},
	} {
		s, other := tc.s, &source{answers: true, claim: 1, noTree: tc.other}
		if tc.gone {
			other.silent = 2
		}
		d := &Download{size: 1, quick: tc.quick, sources: []*source{&s, other}}
		if got := d.asksTree(&s); got != tc.want {
			t.Errorf("%s is asked: %v, want %v", tc.name, got, tc.want)
		}
	}
}
