package mirror

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Event is a line of a mirror's log.
type Event struct {
	Time time.Time `json:"time"`
	What string    `json:"what"` // update, hold, freeze, approve, error, scrub, hook, pause, resume, add, rules
	Seq  int64     `json:"seq,omitempty"`
	Text string    `json:"text,omitempty"`
}

const (
	logName = "log"
	maxLog  = 1 << 20 // bytes; then a second file begins, and the one before is removed
	maxText = 4096
)

// writeLog appends an event: of a mirror of which things go wrong all the time the last 2 MiB are kept.
func writeLog(dir string, e Event) error {
	if len(e.Text) > maxText {
		e.Text = e.Text[:maxText] + "…"
	}
	path := filepath.Join(dir, logName)
	if fi, err := os.Lstat(path); err == nil && fi.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	return errors.Join(err, f.Close())
}

// readLog returns the last n events, oldest first.
func readLog(dir string, n int) (events []Event, err error) {
	for _, name := range []string{logName + ".1", logName} {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		in := bufio.NewScanner(f)
		in.Buffer(nil, 16*maxText)
		for in.Scan() {
			var e Event
			if json.Unmarshal(in.Bytes(), &e) == nil { // a line that a crash cut says nothing
				events = append(events, e)
			}
		}
		if err := errors.Join(in.Err(), f.Close()); err != nil {
			return nil, err
		}
	}
	return events[max(0, len(events)-n):], nil
}
