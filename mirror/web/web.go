// Package web serves the current versions of mirrors as plain trees, for wget, apt and browsers that know nothing of the
// swarm:
//
//	/mirror.json            what is mirrored, and how far behind
//	/mirror/NAME/PATH       a file of the current version; a folder is listed
//	/mirror/NAME/SHA256SUMS and B3SUMS, as sha256sum and b3sum check them, unless the folder has such a file itself
//
// What it promises: a path is looked up in the manifest and never used as a path on disk; each answer is of one version;
// the ETag of a file is its BLAKE3, ranges work, and its time is that of the manifest. What is denied is 410, or 451.
// Pages of strangers get no origin and run nothing.
//
// What it does not: it opens no socket. Who serves it decides who may ask.
package web

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/mirror"
)

// Deny says why a file, or a folder by its manifest, must not be served.
type Deny func(ids ...chunk.ID) (legal bool, reason string, denied bool)

// DenyKey says why nothing of a publisher must be served.
type DenyKey func(k [32]byte) (legal bool, reason string, denied bool)

// Handler serves mirrors.
type Handler struct {
	Set  *mirror.Set
	Deny Deny // nil: nothing is denied

	DenyKey DenyKey // nil: nobody is
}

const (
	statusPath = "/mirror.json"
	treePath   = "/mirror/"
	maxRows    = 10_000 // of one listing
)

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'")
	if r.URL.Path == statusPath {
		h.status(w)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, treePath)
	if !ok {
		http.NotFound(w, r)
		return
	}
	name, file, slash := strings.Cut(rest, "/")
	if !slash {
		redirect(w, r)
		return
	}
	file = withoutDots(file)
	v, err := h.Set.View(r.Context(), name)
	if err != nil {
		http.Error(w, "the manifest cannot be read", http.StatusInternalServerError)
		return
	}
	if v == nil {
		http.NotFound(w, r)
		return
	}
	if h.refused(w, v) {
		return
	}
	if err := h.serve(w, r, v, file); err != nil {
		http.Error(w, "the manifest cannot be read", http.StatusInternalServerError)
	}
}

// withoutDots leaves out parts that are a dot: apt asks for ./Packages.
func withoutDots(file string) string {
	parts := strings.Split(file, "/")
	kept := parts[:0]
	for i, part := range parts {
		if part != "." || i == len(parts)-1 {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "/")
}

// refused answers for a folder that is denied as a whole.
func (h Handler) refused(w http.ResponseWriter, v *mirror.View) bool {
	if h.Deny != nil {
		if legal, reason, denied := h.Deny(chunk.ID{Kind: chunk.BLAKE3, Hash: v.Head.ID}); denied {
			refuse(w, legal, reason)
			return true
		}
	}
	if h.DenyKey != nil && v.Key != [32]byte{} {
		if legal, reason, denied := h.DenyKey(v.Key); denied {
			refuse(w, legal, reason)
			return true
		}
	}
	return false
}

func refuse(w http.ResponseWriter, legal bool, reason string) {
	status := http.StatusGone
	if legal {
		status = http.StatusUnavailableForLegalReasons
	}
	http.Error(w, "not carried here: "+reason, status)
}

func (h Handler) status(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_ = json.NewEncoder(w).Encode(h.Set.Status()) // who has gone does not miss it
}

// redirect adds the slash that links in a listing need. The dot in front keeps a name such as "http:elsewhere" from being
// a place elsewhere.
func redirect(w http.ResponseWriter, r *http.Request) {
	u := url.URL{Path: "./" + path.Base(r.URL.Path) + "/"}
	w.Header().Set("Location", u.EscapedPath())
	w.WriteHeader(http.StatusMovedPermanently)
}

// serve answers for a path of a version. The error is one of the manifest.
func (h Handler) serve(w http.ResponseWriter, r *http.Request, v *mirror.View, file string) error {
	f, there, err := v.Files.Find(r.Context(), file)
	if err != nil {
		return err
	}
	if there {
		h.file(w, r, v, f)
		return nil
	}
	switch file {
	case "SHA256SUMS", "B3SUMS":
		return h.sums(w, r, v, file == "B3SUMS")
	}
	prefix := file
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	found := prefix == ""
	if err := v.Files.Under(r.Context(), prefix, func(folder.File) bool { found = true; return false }); err != nil {
		return err
	}
	switch {
	case !found:
		http.NotFound(w, r)
	case prefix != file:
		redirect(w, r)
	default:
		return h.list(w, r, v, prefix)
	}
	return nil
}

func (h Handler) file(w http.ResponseWriter, r *http.Request, v *mirror.View, f folder.File) {
	if h.Deny != nil {
		if legal, reason, denied := h.Deny(f.IDs()...); denied {
			refuse(w, legal, reason)
			return
		}
	}
	content, err := v.Open(r.Context(), f)
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "this mirror carries a part of the folder, and this file is not in it", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, "cannot be read now", http.StatusServiceUnavailable)
		return
	}
	defer content.Close()
	kind := mime.TypeByExtension(path.Ext(f.Path))
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", `"`+f.BLAKE3.String()+`"`)
	w.Header().Set("Cache-Control", "no-cache") // the name may mean another content in the next version
	at := v.Since
	if f.Mtime > 0 {
		at = time.Unix(f.Mtime, 0)
	}
	http.ServeContent(w, r, "", at, content)
}

// hidden says whether a file is in no list: one of what is denied would tell where to look for it.
func (h Handler) hidden(f folder.File) bool {
	if h.Deny == nil {
		return false
	}
	_, _, denied := h.Deny(f.IDs()...)
	return denied
}

// sums are the hashes of all files that are carried, in the form of sha256sum and b3sum.
func (h Handler) sums(w http.ResponseWriter, r *http.Request, v *mirror.View, blake3 bool) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	out := bufio.NewWriter(w)
	err := v.Files.Under(r.Context(), "", func(f folder.File) bool {
		sum := f.SHA256
		if blake3 {
			sum = f.BLAKE3
		}
		if sum == (chunk.Hash{}) || !v.Carries(f) {
			return true
		}
		if h.hidden(f) {
			return true
		}
		// No path has a line's end in it. A backslash is doubled, and one in front of the line says so.
		name, mark := f.Path, ""
		if strings.Contains(name, `\`) {
			name, mark = strings.ReplaceAll(name, `\`, `\\`), `\`
		}
		_, err := fmt.Fprintf(out, "%s%s  %s\n", mark, sum, name)
		return err == nil && r.Context().Err() == nil
	})
	if err != nil {
		return err
	}
	_ = out.Flush() // who has gone does not miss it
	return nil
}

// list shows what is right below a folder.
func (h Handler) list(w http.ResponseWriter, r *http.Request, v *mirror.View, prefix string) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	out := bufio.NewWriter(w)
	title := html.EscapeString("/" + prefix)
	fmt.Fprintf(out, "<!doctype html><meta charset=utf-8><title>%s</title><h1>%s</h1><p>Version %d<table>\n", title, title, v.Head.Seq)
	if prefix != "" {
		fmt.Fprint(out, "<tr><td><a href=\"../\">../</a><td>\n")
	}
	last, rows := "", 0
	err := v.Files.Under(r.Context(), prefix, func(f folder.File) bool {
		if h.hidden(f) {
			return true
		}
		name, _, deeper := strings.Cut(f.Path[len(prefix):], "/")
		size := fmt.Sprint(f.Size)
		if deeper {
			name, size = name+"/", ""
			if name == last {
				return true
			}
			last = name
		}
		if rows++; rows > maxRows {
			return false
		}
		u := url.URL{Path: "./" + name}
		fmt.Fprintf(out, "<tr><td><a href=\"%s\">%s</a><td align=right>%s\n", html.EscapeString(u.EscapedPath()), html.EscapeString(name), size)
		return true
	})
	if err != nil {
		return err
	}
	if rows > maxRows {
		fmt.Fprintf(out, "<tr><td>and more than %d others; SHA256SUMS lists them\n", maxRows)
	}
	fmt.Fprint(out, "</table>\n")
	_ = out.Flush() // as in sums
	return nil
}
