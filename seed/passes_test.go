package seed

import "testing"

func TestPasses(t *testing.T) {
	o := Options{Exclude: []string{"a/tree", "*.old"}}
	for rel, want := range map[string]bool{
		".": false, "tree": false, "a": false, "a/tree": true, "a/tree/deep": true, "b/a/tree": false, "x.old/tree": true, ".hidden/tree": true, "x~": true,
	} {
		if got := o.Passes(rel); got != want {
			t.Errorf("%q is left out: %v", rel, got)
		}
	}
}
