package watch

import "time"

// A list of a folder that is made while its files are being rewritten has holes: what was offered and is written to is not
// there, and what was removed to be made anew is not there yet. Who follows the list would take that for the wish to remove
// them. So a folder is listed when what was in it is quiet.

// holdsUp says whether a list waits for a file: not for one that is new, nor for one that could not be hashed twice, which
// is more likely to stay so.
func (r *ripening) holdsUp() bool { return r.was && r.tries < 2 }

// Quiet returns the zero time if the folder may be listed at now, and else when to ask again: nothing that was offered
// is being rewritten, and nothing has gone within the time to settle. A folder that is not quiet for maxWait is listed
// all the same, without what is still being written; that holds up no list again until it has been offered.
func (b *Book) Quiet(now time.Time) (again time.Time) {
	if at := b.left.Add(b.settle); !b.left.IsZero() && at.After(now) {
		again = at
	}
	for _, r := range b.waiting {
		if r.holdsUp() {
			again = now.Add(b.settle)
			break
		}
	}
	if again.IsZero() {
		b.restless = time.Time{}
		return again
	}
	if b.restless.IsZero() {
		b.restless = now
	}
	end := b.restless.Add(max(maxWait, b.settle))
	if end.After(now) {
		if end.Before(again) {
			again = end
		}
		return again
	}
	for _, r := range b.waiting {
		r.was = false
	}
	b.restless, b.left = time.Time{}, time.Time{}
	return time.Time{}
}

// replaces says whether a file that was not offered may be one that was: removed just now, or, before the first look, by
// whoever watched the folder then.
func (b *Book) replaces(now time.Time) bool {
	return b.looks == 1 || !b.left.IsZero() && now.Sub(b.left) < b.settle
}
