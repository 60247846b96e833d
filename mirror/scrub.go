package mirror

import "time"

// Scrub is how far the reading of everything has come.
type Scrub struct {
	Begun   time.Time `json:"begun"`
	Ended   time.Time `json:"ended"` // of the last whole one
	Read    int64     `json:"read"`  // bytes, in this round
	Damaged int64     `json:"damaged"`
	Healed  int64     `json:"healed"`
}
