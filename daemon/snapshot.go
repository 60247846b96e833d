package daemon

import (
	"os"
	"path/filepath"
	"time"

	"sharer/control"
)

// Snapshot reads what a daemon has kept in a state folder, while none runs. The error is one of the file system; without
// a daemon ever having run there it is fs.ErrNotExist.
func Snapshot(stateDir string) (items []control.Item, saved time.Time, err error) {
	k := keeper{path: filepath.Join(stateDir, "daemon.json")}
	fi, err := os.Stat(k.path)
	if err != nil {
		return nil, time.Time{}, err
	}
	s, err := k.read()
	if err != nil {
		return nil, time.Time{}, err
	}
	items = itemsOf(s)
	for i := range items {
		if items[i].State == "seeding" {
			items[i].State = "not running"
		}
	}
	return items, fi.ModTime(), nil
}
