package limit

import (
	"fmt"
	"strings"
	"time"
)

// Cap is how many bytes may pass in a calendar month, each direction by itself. 0: no cap.
type Cap struct {
	Up   int64 `json:"up,omitempty"`
	Down int64 `json:"down,omitempty"`
}

const perMonth = "/month"

// ParseCap reads SIZE/month, of each direction, or UP:DOWN/month; off is none.
func ParseCap(text string) (Cap, error) {
	sizes, ok := strings.CutSuffix(text, perMonth)
	if !ok {
		if strings.EqualFold(text, "off") {
			return Cap{}, nil
		}
		return Cap{}, fmt.Errorf("%q: want SIZE%s or UP:DOWN%s, such as 2T%s", text, perMonth, perMonth, perMonth)
	}
	r, err := ParseRates(sizes)
	if err != nil {
		return Cap{}, err
	}
	if r.Up < 0 || r.Down < 0 {
		return Cap{}, fmt.Errorf("%q: a month of nothing; 0 is for --bwlimit", text)
	}
	return Cap(r), nil
}

// String is c as ParseCap reads it.
func (c Cap) String() string {
	if c == (Cap{}) {
		return "off"
	}
	return Rates(c).String() + perMonth
}

// Spent is what has passed in a month.
type Spent struct {
	Month string `json:"month"` // 2026-11, by the clock of its place
	Up    int64  `json:"up"`
	Down  int64  `json:"down"`
}

// Add counts what has passed since the last time; a new month begins with it.
func (s *Spent) Add(now time.Time, up, down int64) {
	// A clock that is set back begins no month anew: what was counted stays.
	if month := now.Format("2006-01"); month > s.Month {
		*s = Spent{Month: month}
	}
	s.Up += up
	s.Down += down
}

// Rates are others as a cap leaves them: what is used up in a direction gets no more than then.
func (c Cap) Rates(s Spent, r Rates, then int64) Rates {
	if c.Up > 0 && s.Up >= c.Up {
		r.Up = tighter(r.Up, then)
	}
	if c.Down > 0 && s.Down >= c.Down {
		r.Down = tighter(r.Down, then)
	}
	return r
}

// tighter is the lower of two rates, of which 0 is none.
func tighter(a, b int64) int64 {
	switch {
	case a < 0 || b < 0:
		return Nothing
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}
