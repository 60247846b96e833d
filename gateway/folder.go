package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"sharer/chunk"
	"sharer/folder"
)

// folder serves a file of a folder, or shows what is in it.
func (g *Gateway) folder(w http.ResponseWriter, r *http.Request, t target, keep string) {
	if g.denied(w, t.id) {
		return
	}
	f, ok := g.manifests.get(t.id)
	if !ok {
		var err error
		if f, err = g.readManifest(r.Context(), t, CallerOf(r).Remote); err != nil {
			g.failed(w, r, t, err)
			return
		}
		g.manifests.put(t.id, f)
	}
	if file, ok := fileAt(f, t.path); ok && t.path != "" {
		g.serve(w, r, part(t, file), keep)
		return
	}
	prefix := t.path
	if prefix != "" {
		prefix += "/"
	}
	if !hasUnder(f, prefix) {
		refuse(w, http.StatusNotFound, "there is no "+quoted(t.path)+" in this folder")
		return
	}
	if !t.slash { // links of what is shown are relative to it
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, relativeSlash(r.URL), http.StatusFound)
		return
	}
	if index, ok := fileAt(f, prefix+"index.html"); ok {
		g.serve(w, r, part(t, index), keep)
		return
	}
	g.listFolder(w, r, t, f, prefix)
}

// relativeSlash is the same place with a slash at its end.
func relativeSlash(u *url.URL) string {
	to := url.URL{Path: u.Path + "/", RawQuery: u.RawQuery}
	return to.RequestURI()
}

// part is a file of a folder as a target.
func part(t target, f folder.File) target {
	return target{id: f.ID(), also: f.Also(), size: f.Size, name: path.Base(f.Path), peers: t.peers, within: t.page()}
}

// search finds where in the order of the paths this one is, or would be.
func search(f folder.Folder, path string) (int, bool) {
	return slices.BinarySearchFunc(f.Files, path, func(a folder.File, p string) int { return strings.Compare(a.Path, p) })
}

func fileAt(f folder.Folder, path string) (folder.File, bool) {
	i, ok := search(f, path)
	if !ok {
		return folder.File{}, false
	}
	return f.Files[i], true
}

func hasUnder(f folder.Folder, prefix string) bool {
	i, _ := search(f, prefix)
	return prefix == "" || i < len(f.Files) && strings.HasPrefix(f.Files[i].Path, prefix)
}

// row is a line of a listing.
type row struct {
	Name, Link string // Link is relative, and escaped by the template as a URL
	Dir        bool
	Files      int
	Size       string
}

const maxRows = 5000 // of one listing: some 500 KB of HTML

// hidden says whether a file is not shown, because it is denied.
func (g *Gateway) hidden(f folder.File) bool {
	if g.cfg.Deny == nil {
		return false
	}
	return slices.ContainsFunc(f.IDs(), func(id chunk.ID) bool {
		_, denied := g.cfg.Deny.Denied(id)
		return denied
	})
}

// listFolder shows what is right below prefix.
func (g *Gateway) listFolder(w http.ResponseWriter, r *http.Request, t target, f folder.Folder, prefix string) {
	var rows []row
	var size, total int64
	i, _ := search(f, prefix)
	for ; i < len(f.Files) && strings.HasPrefix(f.Files[i].Path, prefix); i++ {
		file := f.Files[i]
		if g.hidden(file) {
			continue // a list of what is not carried would tell where to look
		}
		total += file.Size
		name, _, deeper := strings.Cut(file.Path[len(prefix):], "/")
		if deeper && len(rows) > 0 && rows[len(rows)-1].Dir && rows[len(rows)-1].Name == name {
			size += file.Size
			rows[len(rows)-1].Files++
			rows[len(rows)-1].Size = bytesText(size)
			continue
		}
		if len(rows) == maxRows {
			break
		}
		size = file.Size
		link := "./" + url.PathEscape(name)
		if deeper {
			link += "/"
		}
		rows = append(rows, row{Name: name, Link: link, Dir: deeper, Files: 1, Size: bytesText(size)})
	}
	title := f.Name
	if title == "" {
		title = "folder " + t.id.Hash.String()[:12]
	}
	g.render(w, r, "folder.html", struct {
		Title, Path, Size string
		Up                bool
		Rows              []row
		More              bool
	}{title, prefix, bytesText(total), prefix != "", rows, len(rows) == maxRows})
}

// bytesText is a size as people read it.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if x /= 1024; x < 1000 {
			break
		}
	}
	if x < 10 {
		return fmt.Sprintf("%.1f %s", x, unit)
	}
	return fmt.Sprintf("%.0f %s", x, unit)
}

const maxManifests = 8 // that are kept at hand, of a few MB each at most

// manifests are the folders that were looked at last. Safe for concurrent use.
type manifests struct {
	mu    sync.Mutex
	order []chunk.ID // the last used last
	byID  map[chunk.ID]folder.Folder
}

func (m *manifests) get(id chunk.ID) (folder.Folder, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.byID[id]
	return f, ok
}

func (m *manifests) put(id chunk.ID, f folder.Folder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.byID[id]; !ok {
		if len(m.order) == maxManifests {
			delete(m.byID, m.order[0])
			m.order = m.order[1:]
		}
		m.order = append(m.order, id)
	}
	m.byID[id] = f
}
