package mirror

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/atomicfile"
)

// Scrub is how far the reading of everything has come. Rounds are of all mirrors together; damage is told by those that
// have the content.
type Scrub struct {
	Begun   time.Time `json:"begun,omitzero"`
	Ended   time.Time `json:"ended,omitzero"` // of the last whole round
	Read    int64     `json:"read,omitempty"` // bytes, in this round
	Damaged int64     `json:"damaged,omitempty"`
	Healed  int64     `json:"healed,omitempty"`
}

// ScrubPace says how fast everything is read.
type ScrubPace struct {
	Every time.Duration // a round begins so long after the one before; 0: never
	Rate  int64         // bytes a second at most; 0: what a round in half of Every takes, 1 MiB at least
}

// scrubFile is where it is kept how far a round has come; a restart goes on there.
const scrubFile = ".scrub.json"

// round is what is kept of one.
type round struct {
	Begun time.Time  `json:"begun"`
	Ended time.Time  `json:"ended"` // of the one before
	After chunk.Hash `json:"after"` // contents up to this one were read
	Read  int64      `json:"read"`
}

const (
	leastScrub = 1 << 20     // bytes a second
	scrubIdle  = time.Minute // between two looks whether a round is due
	scrubSaved = 10 * time.Second
)

// RunScrub reads all contents, over and over, until the context ends. One goroutine runs it.
func (s *Set) RunScrub(ctx context.Context, pace ScrubPace) {
	if pace.Every <= 0 {
		return
	}
	r, err := s.loadRound()
	if err != nil {
		s.cfg.Log.Warn("the scrub begins from the start", "err", err)
	}
	if now := s.now(); r.Ended.After(now) { // by a clock that was wrong: else nothing were read until it is that late again
		r.Ended = now
	}
	for {
		if wait := r.Ended.Add(pace.Every).Sub(s.now()); r.Begun.IsZero() && !r.Ended.IsZero() && wait > 0 {
			if !pause(ctx, min(wait, scrubIdle)) {
				return
			}
			continue
		}
		if err := s.scrubRound(ctx, &r, pace); err != nil {
			if ctx.Err() != nil {
				return
			}
			s.cfg.Log.Warn("the scrub stopped", "err", err)
			if !pause(ctx, scrubIdle) {
				return
			}
		}
	}
}

// pause waits; false: the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (s *Set) loadRound() (r round, err error) {
	data, err := os.ReadFile(filepath.Join(s.cfg.Dir, scrubFile))
	if errors.Is(err, fs.ErrNotExist) {
		return round{}, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return round{}, err
	}
	return r, nil
}

func (s *Set) saveRound(r round) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.cfg.Dir, scrubFile), data, atomicfile.How{})
}

// scrubRound reads what is left of a round.
func (s *Set) scrubRound(ctx context.Context, r *round, pace ScrubPace) error {
	if r.Begun.IsZero() {
		*r = round{Begun: s.now(), Ended: r.Ended}
	}
	rate := pace.Rate
	if rate <= 0 {
		total := int64(0)
		if err := s.contents.Each(func(_ chunk.Hash, size int64) error { total += size; return nil }); err != nil {
			return err
		}
		rate = max(leastScrub, int64(float64(total)/(pace.Every.Seconds()/2)))
	}
	saved := s.now()
	err := s.contents.Each(func(h chunk.Hash, size int64) error {
		if h.String() <= r.After.String() && r.After != (chunk.Hash{}) {
			return nil
		}
		err := s.check(ctx, h, size, rate)
		if errors.Is(err, errDamaged) {
			err = s.heal(ctx, h, err)
		}
		if err != nil {
			return err
		}
		r.After, r.Read = h, r.Read+size
		if s.now().Sub(saved) < scrubSaved {
			return nil
		}
		saved = s.now()
		s.noteScrub(*r)
		return s.saveRound(*r)
	})
	if err != nil {
		return err
	}
	*r = round{Ended: s.now(), Read: r.Read}
	s.noteScrub(*r)
	return s.saveRound(*r)
}

// noteScrub shows the round.
func (s *Set) noteScrub(r round) {
	for _, m := range s.Mirrors() {
		m.mu.Lock()
		m.scrub.Begun, m.scrub.Ended, m.scrub.Read = r.Begun, r.Ended, r.Read
		m.mu.Unlock()
	}
}

var errDamaged = errors.New("damaged")

// check reads a content. The error wraps errDamaged when it is not what it was, or cannot be read.
func (s *Set) check(ctx context.Context, h chunk.Hash, size, rate int64) error {
	f, err := s.contents.Open(ctx, h, size)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was collected meanwhile
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	defer f.Close()
	sums, err := chunk.Sum(ctx, &paced{ctx: ctx, r: f, rate: rate}, size, nil, nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && s.cfg.Remote != nil: // it says itself what is damaged; a store that does not answer is not
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errDamaged, err)
	case sums.BLAKE3 != h:
		return fmt.Errorf("%w: its hash is %s", errDamaged, sums.BLAKE3)
	}
	return nil
}

// paced reads no faster than rate bytes a second.
type paced struct {
	ctx  context.Context
	r    io.Reader
	rate int64
	debt time.Duration
}

func (p *paced) Read(b []byte) (int, error) {
	const most = 64 << 10
	n, err := p.r.Read(b[:min(len(b), most)])
	// Waits shorter than a timer is exact are put together.
	if p.debt += time.Duration(float64(n) / float64(p.rate) * float64(time.Second)); p.debt > 20*time.Millisecond {
		if !pause(p.ctx, p.debt) {
			return n, p.ctx.Err()
		}
		p.debt = 0
	}
	return n, err
}

// place is where a version has a content.
type place struct {
	m    *Mirror
	head Head
	file folder.File
}

// placesOf finds all versions that have a content.
func (s *Set) placesOf(ctx context.Context, h chunk.Hash) (places []place, err error) {
	for _, m := range s.Mirrors() {
		vs, err := m.tree.Versions()
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			err := m.pages.known(ctx, v.Head)(func(f folder.File) error {
				if f.BLAKE3 == h {
					places = append(places, place{m, v.Head, f})
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return places, nil
}

// heal puts a damaged content aside, where it is kept for who wants to know what happened, and brings it again from the
// swarm. Where that fails its names go, and the mirror tries on.
func (s *Set) heal(ctx context.Context, h chunk.Hash, why error) error {
	end, err := s.turn(ctx)
	if err != nil {
		return err
	}
	defer end()
	places, err := s.placesOf(ctx, h)
	if err != nil {
		return err
	}
	from := s.contents.Path(h)
	if err := s.cfg.Shelf.Withdraw([]string{from}); err != nil {
		return err
	}
	removed, err := s.contents.aside(h, s.now())
	if err != nil {
		return err
	}
	if removed > 0 {
		s.cfg.Log.Info("contents that were put aside as damaged were removed: at most 100 and 1 GiB stay", "removed", removed)
	}
	if len(places) == 0 {
		return nil // garbage
	}
	p := places[0]
	_, err = p.m.group(ctx, p.m.Look().Spec, []folder.File{p.file}, new(bool))
	if ended := cmp.Or(ctx.Err(), s.ctx.Err()); ended != nil {
		return ended
	}
	healed := err == nil
	seen := map[*Mirror]bool{}
	for _, p := range places {
		if healed {
			err = errors.Join(err, p.m.tree.Replace(p.head, p.file, from))
		} else if removeErr := os.Remove(filepath.Join(p.m.tree.Dir(p.head), filepath.FromSlash(p.file.Path))); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		if !seen[p.m] {
			seen[p.m] = true
			p.m.damaged(ctx, p.file, why, healed)
		}
	}
	if healed {
		return err
	}
	s.cfg.Log.Warn("a damaged content could not be brought again", "id", h.String(), "err", err)
	return nil
}

// damaged counts, tells, and has the mirror go on with what was not healed.
func (m *Mirror) damaged(ctx context.Context, f folder.File, why error, healed bool) {
	m.mu.Lock()
	m.scrub.Damaged++
	text := f.Path + ": " + why.Error() + "; put aside"
	if healed {
		m.scrub.Healed++
		text += ", and brought again"
	} else {
		m.asked++
		text += "; nobody has given it again yet"
	}
	err := m.saveLocked()
	hooks := m.spec.Hooks
	m.mu.Unlock()
	if err != nil {
		m.set.cfg.Log.Warn("mirror", "name", m.Name(), "err", err)
	}
	m.happened(Event{What: "scrub-error", Text: text}, hooks.Scrub)
	if !healed {
		m.poke()
	}
}

// Replace gives a file of a version its content anew, at one stroke.
func (t *Tree) Replace(h Head, f folder.File, content string) error {
	dir := t.Dir(h)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(filepath.FromSlash(f.Path)); errors.Is(err, fs.ErrNotExist) {
		return nil // not carried by this version
	}
	temp := f
	temp.Path = path.Join(path.Dir(f.Path), folder.Stage)
	name := filepath.FromSlash(temp.Path)
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := t.ops.put(content, root, dir, temp); err != nil {
		return err
	}
	return root.Rename(name, filepath.FromSlash(f.Path))
}
