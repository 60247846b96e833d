package watch

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sharer/seed"
)

// remember keeps a file that is gone, for the case that it comes back under another name.
func (b *Book) remember(mark uint64, path string, now time.Time) {
	if old, ok := b.gone[mark]; ok {
		b.lost = append(b.lost, old.path)
	} else {
		b.order = append(b.order, mark)
	}
	b.gone[mark] = departed{path, now}
	if len(b.gone) > maxGone {
		b.forgetOldest()
	}
}

func (b *Book) forgetOldest() {
	mark := b.order[0]
	b.order = b.order[1:]
	if d, ok := b.gone[mark]; ok { // else it came back
		delete(b.gone, mark)
		b.lost = append(b.lost, d.path)
	}
}

// Lost returns the paths that have been gone for long, once each, unless something else has that path by now.
func (b *Book) Lost(now time.Time) []string {
	for len(b.order) > 0 {
		if d, ok := b.gone[b.order[0]]; ok && now.Sub(d.at) < keepGone {
			break
		}
		b.forgetOldest()
	}
	lost := slices.DeleteFunc(b.lost, func(path string) bool {
		return slices.ContainsFunc(b.Rels(path), func(rel string) bool {
			dir, name := split(rel)
			in := b.find(dir)
			return in != nil && in.files[name].offered
		})
	})
	b.lost = nil
	return lost
}

// Due returns what has to be looked at by now, and when to ask again; a zero time: not before something else happens.
func (b *Book) Due(now time.Time) (part seed.Part, next time.Time) {
	part = b.again
	b.again = seed.Part{}
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for rel, r := range b.waiting {
		if r.hashing {
			continue
		}
		if at := r.since.Add(b.wait(r)); at.After(now) {
			sooner(at)
		} else {
			part.Add(rel)
		}
	}
	if len(b.order) > 0 {
		at := now.Add(keepGone) // it came back: there is no hurry
		if d, ok := b.gone[b.order[0]]; ok {
			at = d.at.Add(keepGone)
		}
		sooner(at)
	}
	return part, next
}

// Hint is told that something may have happened to a path below the folder, and says whether to look: what is not
// quiet is looked at when its time has come, however often it is written to, and what is being hashed afterwards.
func (b *Book) Hint(rel string) bool {
	r := b.waiting[rel]
	if r != nil && r.hashing {
		r.touched = true
	}
	return r == nil
}

// Refused is told that a file was not moved after all: it waits to be hashed.
func (b *Book) Refused(rel string) {
	if r := b.waiting[rel]; r != nil {
		r.hashing = false
	}
}

// Rels are the ways from the folder to a path: none if it lies elsewhere, more than one behind links.
func (b *Book) Rels(path string) (rels []string) {
	sep := string(filepath.Separator)
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(b.top.path, sep)+sep); ok {
		rels = append(rels, filepath.ToSlash(rest))
	}
	for at, rel := range b.links {
		if rest, ok := strings.CutPrefix(path, at+sep); ok {
			rels = append(rels, join(rel, filepath.ToSlash(rest)))
		}
	}
	return rels
}

// Each calls f for every file that is offered, in no order, with its path.
func (b *Book) Each(f func(rel, path string, executable bool)) { b.each(b.top, "", f) }

func (b *Book) each(in *shelf, rel string, f func(rel, path string, executable bool)) {
	for name, e := range in.files {
		if e.offered {
			below := join(rel, name)
			f(below, b.path(in, below, name), e.executable)
		}
	}
	for name, sub := range in.subs {
		b.each(sub, join(rel, name), f)
	}
}

// Folders calls f with the path of every folder at rel and below it; none if it is no known folder.
func (b *Book) Folders(rel string, f func(path string)) {
	in := b.find(rel)
	if in == nil {
		return
	}
	f(in.path)
	for name := range in.subs {
		b.Folders(join(rel, name), f)
	}
}
