package limit

import (
	"strings"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	for text, want := range map[string]Rates{
		"off": {}, "0": {Nothing, Nothing}, "2M:512K": {2 << 20, 512 << 10}, "off:1M": {0, 1 << 20}, "0:1.5K": {Nothing, 1536}, "7": {7, 7}, "1MiB:OFF": {1 << 20, 0},
	} {
		got, err := ParseRates(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := ParseRates(got.String()); err != nil || again != want {
			t.Errorf("%s is printed as %s, which is read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", ":", "1M:", "1MB", "-1", "1:2:3", "fast"} {
		if got, err := ParseRates(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestTimetable(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	const office = "08:00,512K:1M 18:30,10M 23:00,off"
	const days = "Mon-00:00,1M Sat-00:00,off Sun-20:00,0:2M"
	for _, c := range []struct{ table, now, rates, next string }{
		{"1M", "2026-03-04 12:00:00", "1M", ""},
		{office, "2026-03-04 07:59:59", "off", "2026-03-04 08:00:00"}, // a Wednesday
		{office, "2026-03-04 08:00:00", "512K:1M", "2026-03-04 18:30:00"},
		{office, "2026-03-04 18:29:59", "512K:1M", "2026-03-04 18:30:00"},
		{office, "2026-03-04 22:00:00", "10M", "2026-03-04 23:00:00"},
		{office, "2026-03-07 23:30:00", "off", "2026-03-08 08:00:00"}, // Saturday to Sunday: the week turns
		{office, "2026-02-28 23:30:00", "off", "2026-03-01 08:00:00"},
		{days, "2026-03-06 23:59:59", "1M", "2026-03-07 00:00:00"},
		{days, "2026-03-08 19:00:00", "off", "2026-03-08 20:00:00"},
		{days, "2026-03-08 20:00:00", "0:2M", "2026-03-09 00:00:00"},
	} {
		table, err := Parse(c.table)
		if err != nil {
			t.Fatal(err)
		}
		r, next := table.At(at(c.now))
		if r.String() != c.rates {
			t.Errorf("%s at %s: %s, want %s", c.table, c.now, r, c.rates)
		}
		if c.next == "" && !next.IsZero() || c.next != "" && !next.Equal(at(c.next)) {
			t.Errorf("%s at %s: next is %s, want %s", c.table, c.now, next, c.next)
		}
	}
	if r, next := (Timetable{}).At(at("2026-03-04 12:00:00")); r != (Rates{}) || !next.IsZero() {
		t.Errorf("the zero timetable: %v, %v", r, next)
	}
	for text, why := range map[string]string{
		"": "no rate", "8,1M": "want a time", "08:00,1M 09:00": "want TIME", "Someday-08:00,1M": "no day", "08:00,1M 08:00,2M": "twice", "25:00,1M": "want a time", "08:00,1MB": "unknown unit",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzTimetable(f *testing.F) {
	f.Add("08:00,512K Mon-18:30,10M:0", int64(1))
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		table, err := Parse(text)
		if err != nil {
			return
		}
		now := time.Unix(unix%(1<<34), 0).UTC()
		r, next := table.At(now)
		if next.IsZero() {
			return
		}
		if !next.After(now) || next.Sub(now) > 8*24*time.Hour {
			t.Fatalf("%q at %s: the next change is at %s", text, now, next)
		}
		if same, _ := table.At(next.Add(-time.Second)); same != r {
			t.Fatalf("%q: %v at %s, %v a second before %s", text, r, now, same, next)
		}
	})
}
