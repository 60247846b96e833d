package daemon

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sharer/chunk"
	"sharer/folder"
	"sharer/internal/atomicfile"
)

// Jobs of folders have two files of their own, since a folder may have a million files: which are meant, written
// once, and which of them the job has made, one a line.

// made is a file that a job has made, and the stamp that it had then.
type made struct {
	Path  string      `json:"path"` // below the folder
	Stamp chunk.Stamp `json:"stamp"`
}

func (d *Daemon) listName(job string) string {
	return filepath.Join(d.cfg.Node.StateDir, "jobs", job+".json")
}

func (d *Daemon) madeName(job string) string {
	return filepath.Join(d.cfg.Node.StateDir, "jobs", job+".made")
}

func (d *Daemon) writeList(job string, f folder.Folder) error {
	text, err := json.Marshal(f)
	if err == nil {
		err = os.MkdirAll(filepath.Join(d.cfg.Node.StateDir, "jobs"), 0o700)
	}
	if err == nil {
		err = atomicfile.Write(d.listName(job), text, atomicfile.How{})
	}
	if err != nil {
		return fmt.Errorf("list of files: %w", err)
	}
	return nil
}

// readList returns the files that are meant, with the name of the whole folder; none without an error when there is no list: then
// the folder's manifest is asked for.
func (d *Daemon) readList(job string) (f folder.Folder, err error) {
	text, err := os.ReadFile(d.listName(job))
	if errors.Is(err, fs.ErrNotExist) {
		return folder.Folder{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return folder.Folder{}, fmt.Errorf("list of files: %w; give the same get again", err)
	}
	for _, file := range f.Files {
		if err := folder.CheckPath(file.Path); err != nil {
			return folder.Folder{}, fmt.Errorf("list of files: %q: %w", file.Path, err)
		}
	}
	return f, nil
}

// madeList notes what a job has made. A line that could not be written is a file that is not deleted with the job.
type madeList struct{ f *os.File }

func (d *Daemon) openMade(job string) (madeList, error) {
	if err := os.MkdirAll(filepath.Join(d.cfg.Node.StateDir, "jobs"), 0o700); err != nil {
		return madeList{}, err
	}
	f, err := os.OpenFile(d.madeName(job), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return madeList{f}, err
}

func (m madeList) Close() error { return m.f.Close() }

func (m madeList) note(rel, path string) {
	stamp := stampOf(path)
	if stamp == nil {
		return
	}
	if text, err := json.Marshal(made{rel, *stamp}); err == nil {
		_, _ = m.f.Write(append(text, '\n'))
	}
}

// readMade returns what a job has made; a line that was torn is left out.
func (d *Daemon) readMade(job string) (files []made, err error) {
	f, err := os.Open(d.madeName(job))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		var m made
		if json.Unmarshal(s.Bytes(), &m) == nil && folder.CheckPath(m.Path) == nil {
			files = append(files, m)
		}
	}
	return files, s.Err()
}
