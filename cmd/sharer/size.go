package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"sharer/limit"
)

// units are the binary suffixes of sizes.
const units = "KMGT"

// parseSize reads a number of bytes, such as 512K.
func parseSize(text string) (int64, error) { return limit.ParseSize(text) }

// byteSize is the value of a flag for a number of bytes.
type byteSize int64

// Set reads a size as parseSize does.
func (b *byteSize) Set(text string) error {
	n, err := parseSize(text)
	if err == nil {
		*b = byteSize(n)
	}
	return err
}

func (b *byteSize) String() string {
	for i := len(units); i > 0; i-- {
		if n := int64(*b) >> (10 * i); n > 0 && n<<(10*i) == int64(*b) {
			return strconv.FormatInt(n, 10) + units[i-1:i]
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Type is what help shows.
func (b *byteSize) Type() string { return "SIZE" }

// rateLimit is the value of --bwlimit and --bwlimit-peer, in bytes a second, as in limit.Rates. 0: no limit.
type rateLimit struct{ up, down int64 }

// Set reads UP:DOWN, or one rate for both, as the command limit does.
func (r *rateLimit) Set(text string) error {
	rates, err := limit.ParseRates(text)
	if err == nil {
		r.up, r.down = rates.Up, rates.Down
	}
	return err
}

func (r *rateLimit) String() string {
	return limit.Rates{Up: r.up, Down: r.down}.String()
}

// Type is the word for the value in help.
func (r *rateLimit) Type() string { return "UP:DOWN" }

// keepSeeding is the value of get's --seed: how long the content is offered after
// the download. Negative: for ever.
type keepSeeding time.Duration

func (k *keepSeeding) Set(text string) error {
	switch text {
	case "forever":
		*k = -1
		return nil
	case "0":
		*k = 0
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("want 0, a time such as 30m, or forever")
	}
	*k = keepSeeding(d)
	return nil
}

func (k *keepSeeding) String() string {
	switch {
	case *k < 0:
		return "forever"
	case *k == 0:
		return "0"
	}
	return shortDuration(time.Duration(*k))
}

// Type is the word for the value in help.
func (k *keepSeeding) Type() string { return "TIME" }

// scale picks the largest unit in which n is at least one.
func scale(n int64) (divisor float64, unit string) {
	divisor, unit = 1, "B"
	for i := 0; i < len(units) && float64(n) >= divisor*1024; i++ {
		divisor *= 1024
		unit = units[i:i+1] + "iB"
	}
	return divisor, unit
}

// formatSize is a number of bytes for people: 512 B, 6.1 GiB.
func formatSize(n int64) string {
	divisor, unit := scale(n)
	if divisor == 1 {
		return strconv.FormatInt(n, 10) + " " + unit
	}
	return strconv.FormatFloat(float64(n)/divisor, 'f', 1, 64) + " " + unit
}

// formatPart is a part of a whole, in the unit of the whole: 1.3/3.1 GiB; with a
// whole below zero, 1.3 GiB of ?.
func formatPart(done, total int64) string {
	if total < 0 {
		return formatSize(done) + " of ?"
	}
	divisor, unit := scale(total)
	if divisor == 1 {
		return fmt.Sprintf("%d/%d %s", done, total, unit)
	}
	return fmt.Sprintf("%.1f/%.1f %s", float64(done)/divisor, float64(total)/divisor, unit)
}

// shortDuration is a time for people, to the second: 2m41s, 3h5m, 12d4h.
func shortDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = d.Round(time.Second); {
	case d >= 100*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
