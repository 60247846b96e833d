// Package limit reads rates and timetables of rates as people write them. It is pure.
//
// A rate is a number of bytes a second with K, M, G or T of 1024: 512K, 1.5M, 2MiB. off is no limit, 0 lets
// nothing pass. UP:DOWN is one for each direction, a single one is for both. A timetable says what holds from when on,
// by the clock on the wall: "08:00,512K 18:00,10M:2M 23:00,off", or for one day of the week "Mon-08:00,1M Sat-00:00,off".
package limit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// units are the binary suffixes that sizes are read with.
const units = "KMGT"

// ParseSize reads a number of bytes: digits with an optional fraction and an optional suffix K, M, G or T in either case,
// with or without iB, or B alone. Decimal units (KB) and bits (Kb) are refused: people mix them up.
func ParseSize(text string) (int64, error) {
	number, factor := text, int64(1)
	rest := strings.TrimLeft(text, "0123456789.")
	if rest != "" {
		number = text[:len(text)-len(rest)]
		i := strings.Index(units, strings.ToUpper(rest[:1]))
		switch {
		case rest == "B":
		case i >= 0 && (len(rest) == 1 || rest[1:] == "iB"):
			factor = 1 << (10 * (i + 1))
		default:
			return 0, fmt.Errorf("unknown unit %q; use K, M, G or T (of 1024 bytes)", rest)
		}
	}
	if whole, err := strconv.ParseInt(number, 10, 64); err == nil {
		if whole > math.MaxInt64/factor {
			return 0, errors.New("too large")
		}
		return whole * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.HasPrefix(number, ".") || strings.HasSuffix(number, ".") {
		return 0, errors.New("not a number of bytes, such as 512K or 10M")
	}
	// 2^63 is the first float64 that int64 cannot hold.
	if f *= float64(factor); f >= 1<<63 {
		return 0, errors.New("too large")
	}
	return int64(f), nil
}

// Rates are bytes a second in both directions. 0: no limit; Nothing: nothing passes.
type Rates struct {
	Up   int64 `json:"up"`
	Down int64 `json:"down"`
}

// Nothing is the rate that lets nothing pass.
const Nothing = -1

// ParseRates reads UP:DOWN, or one rate for both.
func ParseRates(text string) (r Rates, err error) {
	up, down, two := strings.Cut(text, ":")
	if !two {
		down = up
	}
	if r.Up, err = parseRate(up); err != nil {
		return Rates{}, fmt.Errorf("up %w", err)
	}
	if r.Down, err = parseRate(down); err != nil {
		return Rates{}, fmt.Errorf("down %w", err)
	}
	return r, nil
}

func parseRate(text string) (int64, error) {
	if strings.EqualFold(text, "off") {
		return 0, nil
	}
	n, err := ParseSize(text)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	if n == 0 {
		return Nothing, nil
	}
	return n, nil
}

// String is r as ParseRates reads it.
func (r Rates) String() string {
	side := func(n int64) string {
		switch {
		case n == 0:
			return "off"
		case n < 0:
			return "0"
		}
		for i := len(units) - 1; i >= 0; i-- {
			if unit := int64(1) << (10 * (i + 1)); n%unit == 0 {
				return strconv.FormatInt(n/unit, 10) + units[i:i+1]
			}
		}
		return strconv.FormatInt(n, 10)
	}
	if r.Up == r.Down {
		return side(r.Up)
	}
	return side(r.Up) + ":" + side(r.Down)
}

// Timetable says which rates hold when. The zero Timetable is no limit.
type Timetable struct {
	steps []step // in the order of the week; one without a time holds always
}

// step holds from a minute of the week on.
type step struct {
	minute int // since Sunday 00:00
	rates  Rates
}

const (
	day      = 24 * 60 // minutes
	week     = 7 * day
	maxSteps = 7 * 48 // a change each half an hour
)

// Parse reads rates, or a timetable.
func Parse(text string) (Timetable, error) {
	if strings.TrimSpace(text) == "" {
		return Timetable{}, errors.New("no rate; such as 2M:512K, or 08:00,512K 18:00,off")
	}
	if !strings.Contains(text, ",") {
		r, err := ParseRates(strings.TrimSpace(text))
		if err != nil {
			return Timetable{}, err
		}
		return Timetable{[]step{{0, r}}}, nil
	}
	var t Timetable
	for _, field := range strings.Fields(text) {
		when, rates, ok := strings.Cut(field, ",")
		if !ok {
			return Timetable{}, fmt.Errorf("%q: want TIME,UP:DOWN, such as 08:00,512K", field)
		}
		minutes, err := parseTime(when)
		if err != nil {
			return Timetable{}, fmt.Errorf("%q: %w", field, err)
		}
		r, err := ParseRates(rates)
		if err != nil {
			return Timetable{}, fmt.Errorf("%q: %w", field, err)
		}
		for _, m := range minutes {
			t.steps = append(t.steps, step{m, r})
		}
		if len(t.steps) > maxSteps {
			return Timetable{}, fmt.Errorf("more than %d changes a week", maxSteps)
		}
	}
	slices.SortStableFunc(t.steps, func(a, b step) int { return a.minute - b.minute })
	for i := 1; i < len(t.steps); i++ {
		if t.steps[i].minute == t.steps[i-1].minute {
			return Timetable{}, fmt.Errorf("%s is said twice", clock(t.steps[i].minute))
		}
	}
	return t, nil
}

var days = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseTime reads HH:MM, of each day, or DAY-HH:MM.
func parseTime(text string) (minutes []int, err error) {
	name, hhmm, one := strings.Cut(text, "-")
	if !one {
		hhmm = text
	}
	t, err := time.Parse("15:04", hhmm)
	if err != nil {
		return nil, errors.New("want a time from 00:00 to 23:59, with a day before it for one day of the week: Mon-08:00")
	}
	at := t.Hour()*60 + t.Minute()
	if one {
		d := slices.Index(days[:], strings.ToLower(name))
		if d < 0 {
			return nil, fmt.Errorf("%q is no day; use Mon, Tue, Wed, Thu, Fri, Sat or Sun", name)
		}
		return []int{d*day + at}, nil
	}
	for d := range days {
		minutes = append(minutes, d*day+at)
	}
	return minutes, nil
}

func clock(minute int) string {
	d := days[minute/day]
	return fmt.Sprintf("%s-%02d:%02d", strings.ToUpper(d[:1])+d[1:], minute%day/60, minute%60)
}

// At is what holds at a moment, by the clock of its location, and when that changes; the zero time: never.
func (t Timetable) At(now time.Time) (r Rates, next time.Time) {
	if len(t.steps) == 0 {
		return Rates{}, time.Time{}
	}
	minute := int(now.Weekday())*day + now.Hour()*60 + now.Minute()
	i := len(t.steps) - 1 // before the first one of a week the last one of the week before holds
	for k, s := range t.steps {
		if s.minute <= minute {
			i = k
		}
	}
	if len(t.steps) == 1 {
		return t.steps[0].rates, time.Time{}
	}
	after := t.steps[(i+1)%len(t.steps)].minute
	ahead := (after - minute + week - 1) % week // minutes until then, less one
	// By the date, not by adding hours: a day of the clock's change has more or fewer.
	next = time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute()+ahead+1, 0, 0, now.Location())
	return t.steps[i].rates, next
}
