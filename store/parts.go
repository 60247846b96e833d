package store

import (
	"os"
	"slices"
	"time"

	"sharer/chunk"
)

// part is what a download has left behind: the beginning of a content that may be wanted again.
type part struct {
	bytes int64
	at    time.Time
}

// Leave says that the download to a target has ended, well or not. What it left is kept as long as there is room for it.
func (d *Disk) Leave(target string) { d.notePart(target) }

// notePart counts what lies at a target that nobody downloads to.
func (d *Disk) notePart(target string) {
	fi, err := os.Lstat(chunk.PartName(target))
	if err != nil {
		return // it came to its end
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.takePartLocked(target)
	d.parts[target] = part{bytes: fi.Size(), at: fi.ModTime()}
	d.bytes += fi.Size()
}

// takePartLocked stops counting a part: it is being added to, or gone.
func (d *Disk) takePartLocked(target string) {
	d.bytes -= d.parts[target].bytes
	delete(d.parts, target)
}

// oldPartsLocked are the targets of parts of need bytes in all, or of all that there are, the oldest first.
func (d *Disk) oldPartsLocked(need int64) (out []string) {
	for target := range d.parts {
		out = append(out, target)
	}
	slices.SortFunc(out, func(a, b string) int { return d.parts[a].at.Compare(d.parts[b].at) })
	for i, target := range out {
		if need -= d.parts[target].bytes; need <= 0 {
			return out[:i+1]
		}
	}
	return out
}

// removePart removes the files of a part: the sidecar last, or what stays would pass for somebody else's file.
func removePart(target string) error {
	if err := ignoreMissing(os.Remove(chunk.PartName(target))); err != nil {
		return err
	}
	return ignoreMissing(os.Remove(chunk.PartName(target) + ".sharer"))
}
