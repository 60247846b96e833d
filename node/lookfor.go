package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sharer/folder"
)

// How long somebody is looked for who has the contents of a folder is counted once for all of it. A content of many that nobody gives
// in a turn of some seconds is looked for again later, in turns too, until nothing of anything has come for FindTimeout. As soon as anything has come,
// those are at hand who have the folder, and each content has its first turn in any case. What nobody
// sends anything of keeps a place among the jobs for a moment only, so that what is missing holds nothing up.

const (
	searchers  = 32 // contents that are looked for at the same time, besides the jobs
	searchHold = 250 * time.Millisecond
	turnLeast  = 2 * time.Second
	turnMost   = 4 * time.Second
)

// turnOf is how long each of n contents is looked for. What can be looked for all at once has all the time; else all have their turn in about the
// time that one would have.
func turnOf(n int, find time.Duration) time.Duration {
	if n <= searchers {
		return find
	}
	return min(max(find*searchers/time.Duration(max(n, 1)), turnLeast), turnMost, find)
}

// looking is what a folderRun knows of its looking for contents. Its mu guards it.
type looking struct {
	begun   time.Time
	came    time.Time       // the last of anything; zero: nothing yet
	turn    time.Duration   // of a content
	later   bool            // the first turns are over
	unfound [][]folder.File // contents that nobody gave in their turn
}

// left is how long it is looked for at all, if nothing comes.
func (s *looking) left(find time.Duration, now time.Time) time.Duration {
	from := s.begun
	if !s.came.IsZero() {
		from = s.came
	}
	return max(from.Add(find).Sub(now), 0)
}

// patience is how long a content is looked for from now on; 0: not at all.
func (s *looking) patience(find time.Duration, now time.Time) time.Duration {
	if s.came.IsZero() || s.later {
		return min(s.turn, s.left(find, now))
	}
	return s.turn
}

// putOff says whether a content that nobody gave is looked for once more later.
func (r *folderRun) putOff(files []folder.File, got Got, err error) bool {
	if !errors.Is(err, ErrNotFound) && !(errors.Is(err, ErrStalled) && got.Fetched == 0) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.giveUp != nil || r.looking.left(r.FindTimeout, time.Now()) == 0 {
		return false
	}
	r.looking.unfound = append(r.looking.unfound, files)
	return true
}

// crew fetches contents, each by itself.
type crew struct {
	r     *folderRun
	jobs  errgroup.Group
	slots chan struct{}
}

// newCrew fetches n at the same time, and looks for so many beside.
func (r *folderRun) newCrew(n, beside int) *crew {
	c := &crew{r: r, slots: make(chan struct{}, n)}
	c.jobs.SetLimit(n + beside)
	return c
}

// each begins with all contents, in order; a cancelled context ends those before it soon.
func (c *crew) each(ctx context.Context, groups [][]folder.File) {
	for _, files := range groups {
		c.slots <- struct{}{}
		c.jobs.Go(func() error {
			free := sync.OnceFunc(func() { <-c.slots })
			defer free()
			c.r.content(ctx, files, free)
			return nil
		})
	}
}

func (c *crew) wait() { _ = c.jobs.Wait() } // none fails

// firstTurns sets how long each of n contents is looked for at first.
func (r *folderRun) firstTurns(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looking.turn = turnOf(n, r.FindTimeout)
}

// nextTurns takes what nobody gave in its turn, for the next ones.
func (r *folderRun) nextTurns() (groups [][]folder.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.looking
	groups = s.unfound
	s.unfound, s.later, s.turn = nil, true, turnOf(len(groups), r.FindTimeout)
	return groups
}

// lookAgain looks for what nobody gave in its turn, until it is over.
func (r *folderRun) lookAgain(ctx context.Context) {
	for groups := r.nextTurns(); len(groups) > 0; groups = r.nextTurns() {
		c := r.newCrew(searchers, 0)
		c.each(ctx, groups)
		c.wait()
	}
}
