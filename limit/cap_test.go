package limit

import (
	"testing"
	"time"
)

func TestCap(t *testing.T) {
	for text, want := range map[string]Cap{"2T/month": {2 << 40, 2 << 40}, "2T:500G/month": {2 << 40, 500 << 30}, "off:1G/month": {0, 1 << 30}, "off": {}, "off/month": {}} {
		got, err := ParseCap(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
		if again, err := ParseCap(got.String()); err != nil || again != want {
			t.Errorf("%s is printed as %s: %+v %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "2T", "2T/day", "0/month", "2T:0/month", "2TB/month", "/month", "-1/month"} {
		if got, err := ParseCap(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// TestSpent: each direction has its own cap, a month ends at midnight, and a clock that is set back opens nothing.
func TestSpent(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	c := Cap{Up: 100, Down: 50}
	var s Spent
	const trickle = 10
	for _, step := range []struct {
		at       string
		up, down int64
		want     Rates
	}{
		{"2026-11-30 10:00:00", 99, 0, Rates{0, 7}},
		{"2026-11-30 23:59:58", 1, 49, Rates{trickle, 7}},
		{"2026-11-30 23:59:59", 1, 1, Rates{trickle, 7}},
		{"2026-12-01 00:00:00", 1, 0, Rates{0, 7}},
		{"2026-11-30 23:59:59", 98, 50, Rates{0, 7}},
		{"2026-12-31 12:00:00", 1, 0, Rates{trickle, 7}},
		{"2027-01-01 12:00:00", 0, 0, Rates{0, 7}},
	} {
		s.Add(at(step.at), step.up, step.down)
		if got := c.Rates(s, Rates{0, 7}, trickle); got != step.want {
			t.Errorf("%s: %+v with %+v, want %+v", step.at, got, s, step.want)
		}
	}
	used := Spent{Up: 100, Down: 50}
	if got := c.Rates(used, Rates{5, Nothing}, 10); got != (Rates{5, Nothing}) {
		t.Errorf("what is tighter already: %+v", got)
	}
	if got := c.Rates(used, Rates{5, 0}, Nothing); got != (Rates{Nothing, Nothing}) {
		t.Errorf("paused: %+v", got)
	}
	if got := (Cap{}).Rates(used, Rates{5, 0}, Nothing); got != (Rates{5, 0}) {
		t.Errorf("without a cap: %+v", got)
	}
}
