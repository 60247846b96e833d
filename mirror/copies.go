package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
)

// Copies is how often the files of a mirror's current version are carried, as far as others say so: the mirrors of its
// group by their signed statuses, other peers by their answers. A claim is all that it is; nobody has looked.
type Copies struct {
	Mirrors  int      `json:"mirrors"`   // others of the group that have this version
	Behind   int      `json:"behind"`    // that have another one
	Silent   int      `json:"silent"`    // that were not heard of lately, or do not say that they carry this
	Files    int      `json:"files"`     // of the version that the patterns mean
	Looked   int      `json:"looked"`    // of them, at which was looked: of very many a sample
	Least    int      `json:"least"`     // copies, ours included
	Mean     float64  `json:"mean"`      //
	ByCopies []int    `json:"by_copies"` // files that were looked at, by the number of their copies; the last one: so many or more
	Fewer    int      `json:"fewer_than"`
	Scarce   int      `json:"scarce"` // files that were looked at with fewer copies than that
	Paths    []Scarce `json:"paths"`  // of them, the first ones
}

// Scarce is a file with few copies.
type Scarce struct {
	Path   string `json:"path"`
	Copies int    `json:"copies"`
}

const (
	maxCounted = 32         // copies that are told apart
	maxScarce  = 100        // paths
	maxClaims  = 10_000     // of other mirrors: 100 bytes each
	maxLooked  = 100_000    // files
	maxScores  = 20_000_000 // to compute: half a second
)

// claim is what another mirror says that it carries.
type claim struct {
	at     time.Time
	link   string
	id     string
	files  int
	share  float64 // 0 to 1; 0: all of it, or by copies
	copies int
}

// ParseStatus reads the status of another mirror. It is a stranger's.
func ParseStatus(data []byte) (s Status, err error) {
	if len(data) > folder.MaxPage {
		return s, fmt.Errorf("a status of more than %d bytes", folder.MaxPage)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("not a status of mirrors: %w", err)
	}
	if s.V != 1 {
		return s, fmt.Errorf("not a status of mirrors, or of a newer form (%d)", s.V)
	}
	return s, nil
}

// Claims notes what a mirror of a group has signed that it carries; of that what is mirrored here too.
func (s *Set) Claims(k identity.PublicKey, status Status) {
	mine := map[string]bool{}
	for _, m := range s.Mirrors() {
		l := m.Look()
		mine[l.Link], mine["folder/"+l.Current.ID.String()] = true, true
	}
	var of []claim
	for _, one := range status.Mirrors {
		if !mine[one.Link] && !mine[one.ID] || one.Files < 0 || one.Copies < 0 {
			continue
		}
		c := claim{at: s.now(), link: one.Link, id: one.ID, files: one.Files, copies: one.Copies}
		if p, err := ParsePortion(one.Share, func(string) (int64, error) { return 0, errors.New("no percentage") }); err == nil {
			c.share = p.Percent / 100
		}
		of = append(of, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	total := len(of)
	for other, claims := range s.claims {
		if other != k {
			total += len(claims)
		}
	}
	if delete(s.claims, k); len(of) > 0 && total <= maxClaims {
		s.claims[k] = of
	}
}

// carrier is another mirror that has the version.
type carrier struct {
	key     identity.PublicKey
	of      claim
	current bool // it has this version, not another one of the same name
}

// carriers are the others of a group that carry what a mirror does, and how many were not heard of.
func (s *Set) carriers(l Look) (of []carrier, silent int, err error) {
	group, err := l.Spec.group()
	if err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := "folder/" + l.Current.ID.String()
	for _, k := range group {
		if k == s.cfg.Self {
			continue
		}
		at, heard := s.alive[k]
		claims := s.claims[k]
		i := slices.IndexFunc(claims, func(c claim) bool { return c.id == id })
		if i < 0 {
			i = slices.IndexFunc(claims, func(c claim) bool { return c.link == l.Link })
		}
		if !heard || s.now().Sub(at) > aliveFor || i < 0 {
			silent++
			continue
		}
		of = append(of, carrier{k, claims[i], claims[i].id == id})
	}
	return of, silent, nil
}

// Copies counts the copies of a mirror's current version; fewer is what counts as few, 0: what the mirror's rules want, 2 at
// least.
func (s *Set) Copies(ctx context.Context, name string, fewer int) (c Copies, err error) {
	m, err := s.Find(name)
	if err != nil {
		return c, err
	}
	l := m.Look()
	others, silent, err := s.carriers(l)
	if err != nil {
		return c, err
	}
	if c = (Copies{Silent: silent, Fewer: fewer, ByCopies: []int{}, Paths: []Scarce{}}); c.Fewer <= 0 {
		c.Fewer = max(2, l.Spec.Rules.Copies)
	}
	for _, o := range others {
		if o.current {
			c.Mirrors++
		} else {
			c.Behind++
		}
	}
	if l.Current.Zero() {
		return c, nil
	}
	total := 0
	all := 0
	err = m.pages.known(ctx, l.Current)(func(f folder.File) error {
		if all++; l.Spec.Rules.wants(f) {
			c.Files++
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	t := newTally(l, s.cfg.Self, others, all)
	every := max(1, (c.Files+maxLooked-1)/maxLooked, c.Files*len(others)/maxScores)
	at := 0
	err = m.pages.known(ctx, l.Current)(func(f folder.File) error {
		if !l.Spec.Rules.wants(f) {
			return nil
		}
		if at++; (at-1)%every != 0 {
			return nil
		}
		n := t.of(f.BLAKE3)
		if s.cfg.Holders != nil {
			n = max(n, s.cfg.Holders(f.BLAKE3))
		}
		if s.contents.Has(f.BLAKE3) {
			n++
		}
		total += n
		c.count(f.Path, n)
		return ctx.Err()
	})
	if c.Looked > 0 {
		c.Mean = float64(total) / float64(c.Looked)
	}
	return c, err
}

func (c *Copies) count(path string, n int) {
	if c.Looked++; c.Looked == 1 || n < c.Least {
		c.Least = n
	}
	for at := min(n, maxCounted); len(c.ByCopies) <= at; {
		c.ByCopies = append(c.ByCopies, 0)
	}
	c.ByCopies[min(n, maxCounted)]++
	if n >= c.Fewer {
		return
	}
	if c.Scarce++; len(c.Paths) < maxScarce {
		c.Paths = append(c.Paths, Scarce{path, n})
	}
}

// String is one line for people.
func (c Copies) String() string {
	text := "nobody else is known to carry it"
	if c.Mirrors+c.Behind+c.Silent > 0 || c.Mean > 1 {
		text = fmt.Sprintf("least %d, mean %.1f (by what %d others say", c.Least, c.Mean, c.Mirrors)
		if c.Behind > 0 {
			text += fmt.Sprintf(", %d have another version", c.Behind)
		}
		if c.Silent > 0 {
			text += fmt.Sprintf(", %d say nothing", c.Silent)
		}
		text += ")"
	}
	if c.Looked < c.Files {
		text += fmt.Sprintf("; %d of %d files looked at", c.Looked, c.Files)
	}
	return text
}

// Spread is how many files have how many copies, in words.
func (c Copies) Spread() (text string) {
	for n, files := range c.ByCopies {
		if files == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += strconv.Itoa(n)
		if n == maxCounted {
			text += " or more"
		}
		text += fmt.Sprintf(": %d", files)
	}
	return text
}

// tally says how many others carry a file. It is a value, made once for a count.
type tally struct {
	all     int       // carry everything
	parts   float64   // of those that leave something out, nobody knows what: their files together, by the version's
	shares  []carrier // carry a share, by their keys
	sharing [][]carrier
	self    identity.PublicKey
	ours    int // our own number of copies; 0: we share no load
	scratch []uint64
}

func newTally(l Look, self identity.PublicKey, others []carrier, files int) *tally {
	t := &tally{self: self, ours: l.Spec.Rules.Copies}
	byCopies := map[int][]carrier{}
	for _, o := range others {
		switch {
		case o.of.copies > 0:
			byCopies[o.of.copies] = append(byCopies[o.of.copies], o)
		case !o.current:
		case o.of.share > 0:
			t.shares = append(t.shares, o)
		case o.of.files >= files:
			t.all++
		default:
			t.parts += float64(o.of.files) / float64(max(files, 1))
		}
	}
	for _, group := range byCopies {
		t.sharing = append(t.sharing, group)
	}
	return t
}

func (t *tally) of(file chunk.Hash) int {
	n := t.all + int(t.parts)
	for _, o := range t.shares {
		if (Shared{self: o.key, share: o.of.share}).Carries(file) {
			n++
		}
	}
	for _, group := range t.sharing {
		n += t.among(group, file)
	}
	return n
}

// among counts those of a group that carry a file and have the version, when the copies with the highest scores do.
func (t *tally) among(group []carrier, file chunk.Hash) (n int) {
	copies := group[0].of.copies
	t.scratch = t.scratch[:0]
	for _, o := range group {
		t.scratch = append(t.scratch, score(file, o.key))
	}
	if t.ours == copies {
		t.scratch = append(t.scratch, score(file, t.self))
	}
	slices.Sort(t.scratch)
	least := t.scratch[max(0, len(t.scratch)-copies)]
	for _, o := range group {
		if o.current && score(file, o.key) >= least {
			n++
		}
	}
	return n
}
