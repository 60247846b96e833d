package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"sharer/folder"
	"sharer/identity"
	"sharer/link"
	"sharer/node"
)

// item is one link that get was asked for.
type item struct {
	text  string // as given
	job   string // g1, g2, ...
	link  link.Link
	asked link.Link // the link to a published name, of which link is the content; zero: it was none, or an older version was tried
	named string    // the name that is asked for instead of an id; "": none
	path  string    // final name, before --rename

	tree     bool          // a folder is fetched to path
	files    []folder.File // of it
	manifest string        // what its manifest calls it
	done     int           // files of it that are there

	got node.Got // valid if err is nil
	err error
}

// label names the item for people: its file name, else the head of its id.
func (it *item) label() string {
	if it.link.Name != "" {
		return escape(it.link.Name)
	}
	if it.link.Published != "" {
		return escape(it.link.Published)
	}
	id := it.link.ID.String()
	if it.link.Folder {
		id = "folder/" + it.link.ID.Hash.String()
	}
	kind, _, found := strings.Cut(id, "/")
	if !found {
		kind = ""
	} else {
		kind += "/"
	}
	return kind + it.link.ID.Hash.String()[:12] + "…"
}

const (
	maxLinks = 100_000 // of one run
	maxLine  = 32 << 10
)

// bareName says whether text can only be meant as the name of a file that nodes share by name.
func bareName(text string) bool {
	return text != "" && len(text) <= 255 && utf8.ValidString(text) && !strings.ContainsAny(text, "/\\?:\x00") && link.SafeName(text) == text
}

// readLinks parses the arguments; - stands for a list on standard input. names: what can only be the
// name of a file is asked for by that. The error names the link and what is wrong with it.
func readLinks(args []string, stdin io.Reader, names bool) ([]*item, error) {
	var items []*item
	add := func(text, where string) error {
		l, err := link.Parse(text)
		named := ""
		if err != nil && bareName(text) {
			if !names {
				return usagef("%s: %s; add --unverified if it is the name of a file that a node shares by name", where, strings.TrimPrefix(err.Error(), "link: "))
			}
			named, err, l = text, nil, link.Link{Name: text, Size: -1}
		}
		if err != nil {
			return usagef("%s: %s", where, strings.TrimPrefix(err.Error(), "link: "))
		}
		if key := identity.PublicKey(l.Publisher); l.Published != "" && key.Check() != nil {
			return usagef("%s: 0x%s: %v", where, key, key.Check())
		}
		if len(items) == maxLinks {
			return usagef("more than %d links", maxLinks)
		}
		items = append(items, &item{text: text, job: fmt.Sprintf("g%d", len(items)+1), link: l, named: named})
		return nil
	}
	listed := false
	for _, a := range args {
		if a != "-" {
			if err := add(a, fmt.Sprintf("link %q", shorten(a, 100))); err != nil {
				return nil, err
			}
			continue
		}
		if listed {
			return nil, usagef("- is given twice")
		}
		listed = true
		lines := bufio.NewScanner(stdin)
		lines.Buffer(nil, maxLine)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := add(line, fmt.Sprintf("line %d of standard input: link %q", n, shorten(line, 100))); err != nil {
				return nil, err
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	if len(items) == 0 {
		if listed {
			return nil, usagef("standard input holds no link")
		}
		return nil, usagef("get needs a link; see sharer help get")
	}
	return items, nil
}

// targets are the items with their paths, those of one path together.
type targets struct {
	groups  [][]*item
	stdout  bool
	tempDir string // removed by cleanUp; empty: none
}

// chooseTargets decides where each item goes. output is -o: a file, a folder that
// exists or ends in a slash, - for standard output, or "" for the working folder.
func chooseTargets(items []*item, output string) (*targets, error) {
	t := &targets{stdout: output == "-"}
	for _, it := range items {
		if it.tree && t.stdout {
			return nil, usagef("-o - takes a file; %s is a folder", it.label())
		}
	}
	if len(items) == 1 && items[0].tree && output != "" {
		// A folder's files go into the folder that is named, whether it is there or not.
		if fi, err := os.Stat(output); err == nil && !fi.IsDir() {
			return nil, &codedError{exitExists, fmt.Errorf("-o %s is there, and is no folder", output)}
		}
		items[0].path = output
		t.group(items)
		return t, nil
	}
	switch dir, err := folderOf(output, len(items)); {
	case err != nil:
		return nil, err
	case t.stdout && len(items) > 1:
		return nil, usagef("-o - takes one link, there are %d", len(items))
	case t.stdout:
		if t.tempDir, err = os.MkdirTemp("", "sharer-get-"); err != nil {
			return nil, err
		}
		items[0].path = filepath.Join(t.tempDir, "content")
	case dir != "":
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		for _, it := range items {
			it.path = filepath.Join(dir, fileName(it.link))
		}
	default:
		items[0].path = output
	}
	t.group(items)
	return t, nil
}

// folderOf is the folder into which files go under their own names; "" if output
// names a file.
func folderOf(output string, links int) (string, error) {
	switch {
	case output == "":
		return ".", nil
	case output == "-":
		return "", nil
	case os.IsPathSeparator(output[len(output)-1]):
		return output, nil
	}
	fi, err := os.Stat(output)
	switch {
	case err == nil && fi.IsDir():
		return output, nil
	case err == nil && !fi.Mode().IsRegular():
		return "", usagef("-o %s is neither a file nor a folder; use -o - > %s", output, output)
	case err == nil && links > 1:
		return "", usagef("-o %s is a file, and there are %d links", output, links)
	case links > 1:
		return output, nil
	}
	dir := filepath.Dir(output)
	if fi, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !fi.IsDir() {
		return "", fmt.Errorf("there is no folder %s", dir)
	}
	return "", nil
}

// fileName is the name of a link as a name of a file, else its hash. Names that a
// partial download takes beside its target are changed: one link of a list must
// not write into the partial of another.
func fileName(l link.Link) string {
	name := link.SafeName(l.Name)
	if name == "" {
		return l.ID.Hash.String()
	}
	if strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".part.sharer") {
		name += "_"
	}
	return name
}

// group puts items that want the same path behind each other, in the order given.
// Paths that differ in case only are the same on some file systems.
func (t *targets) group(items []*item) {
	at := make(map[string]int)
	for _, it := range items {
		key := strings.ToLower(filepath.Clean(it.path))
		i, ok := at[key]
		if !ok {
			i = len(t.groups)
			at[key] = i
			t.groups = append(t.groups, nil)
		}
		t.groups[i] = append(t.groups[i], it)
	}
}

func (t *targets) cleanUp() {
	if t.tempDir != "" {
		os.RemoveAll(t.tempDir) // best effort on the way out: the system cleans its folder too
	}
}
