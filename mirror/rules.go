package mirror

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sharer/folder"
)

// OnFull says what a mirror does with a version that does not fit its quota.
type OnFull string

// The ways of being full.
const (
	FullHold   OnFull = "hold"         // the version is held: the last good one stays
	FullNewest OnFull = "newest"       // the files with the latest times are carried
	FullPinned OnFull = "pinned-first" // what is pinned is carried, then the rest in the order of the manifest
)

// Rules are what the operator of a mirror allows. They win over whatever a publisher wants.
type Rules struct {
	Quota     int64         `json:"quota,omitempty"`    // bytes of content, each counted once; 0: as much as the disk has
	MinFree   Portion       `json:"min_free"`           // of the disk, left alone
	Include   []string      `json:"include,omitempty"`  // patterns of folder.Selection
	Exclude   []string      `json:"exclude,omitempty"`  //
	MaxFile   int64         `json:"max_file,omitempty"` // bytes; longer files are not carried; 0: any
	Share     Portion       `json:"share"`              // of the files, by the id of each and our key; zero: all
	Copies    int           `json:"copies,omitempty"`   // a file is carried by so many of the known mirrors; 0: by all
	MaxDelete Portion       `json:"max_delete"`         // of the files, that one version may take away without being approved
	Keep      int           `json:"keep"`               // versions, the current one counted
	Grace     time.Duration `json:"grace"`              // how long an earlier version stays at most, in ns
	OnFull    OnFull        `json:"on_full"`
	Every     time.Duration `json:"every"`          // between two looks at the name, in ns
	Down      int64         `json:"down,omitempty"` // bytes a second that arrive for it; 0: as much as the node may
}

// DefaultRules are those of cli.md section 3.
func DefaultRules() Rules {
	return Rules{
		MinFree: Portion{Percent: 5}, MaxDelete: Portion{Percent: 10}, Keep: 2, Grace: 24 * time.Hour, OnFull: FullHold, Every: 15 * time.Minute,
	}
}

// Check says which rule makes no sense.
func (r Rules) Check() error {
	switch {
	case r.Quota < 0 || r.MaxFile < 0:
		return errors.New("a size below zero")
	case r.Down < 0:
		return errors.New("a rate below zero; pause is for fetching nothing")
	case r.Share.Count != 0 || r.Share.Percent > 100:
		return errors.New("a share is a percentage, such as 30%")
	case r.Copies < 0:
		return errors.New("copies below zero")
	case r.Copies > 0 && r.Share.Percent > 0:
		return errors.New("either a share or a number of copies")
	case r.MinFree.Percent > 100 || r.MaxDelete.Percent > 100:
		return errors.New("more than 100%")
	case r.Keep < 1 || r.Keep > maxKeep:
		return fmt.Errorf("versions to keep: 1 (the current one) to %d", maxKeep)
	case r.Grace < 0:
		return errors.New("a grace below zero")
	case r.Every < time.Second:
		return errors.New("looking more often than once a second")
	}
	switch r.OnFull {
	case FullHold, FullNewest, FullPinned:
	default:
		return fmt.Errorf("%q is not one of hold, newest, pinned-first", r.OnFull)
	}
	return r.selection().Check()
}

func (r Rules) selection() folder.Selection {
	return folder.Selection{Include: r.Include, Exclude: r.Exclude}
}

// wants says whether the patterns and the limit of a file let it be carried. It does not depend on other files.
func (r Rules) wants(f folder.File) bool {
	return (r.MaxFile == 0 || f.Size <= r.MaxFile) && r.selection().Means(f.Path)
}

// Portion is a number, or a percentage of something.
type Portion struct {
	Count   int64
	Percent float64
}

// Of is how much of a total is meant, rounded up: so that a tenth of three files is one.
func (p Portion) Of(total int64) int64 {
	if p.Percent > 0 {
		return int64(math.Ceil(float64(total) * p.Percent / 100))
	}
	return p.Count
}

// ParsePortion reads 10% or what number reads.
func ParsePortion(text string, number func(string) (int64, error)) (Portion, error) {
	if digits, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(n >= 0 && n <= 100) {
			return Portion{}, fmt.Errorf("%q is not a percentage", text)
		}
		return Portion{Percent: n}, nil
	}
	n, err := number(text)
	if err == nil && n < 0 {
		err = fmt.Errorf("%q is below zero", text)
	}
	return Portion{Count: n}, err
}

func (p Portion) String() string {
	if p.Percent > 0 {
		return strconv.FormatFloat(p.Percent, 'g', -1, 64) + "%"
	}
	return strconv.FormatInt(p.Count, 10)
}

// MarshalJSON writes a portion as people do.
func (p Portion) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Portion) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		*p, err = ParsePortion(text, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	}
	return err
}
