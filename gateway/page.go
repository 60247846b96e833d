package gateway

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page
var pageFiles embed.FS

var templates = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// ownPolicy is that of the node's own pages: nothing but their own files, and nobody frames them.
const ownPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// render answers with one of the node's own pages.
func (g *Gateway) render(w http.ResponseWriter, r *http.Request, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		g.cfg.Log.Error("a page of the node", "page", name, "err", err)
		refuse(w, http.StatusInternalServerError, "this page could not be made")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", ownPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // whoever asked is gone if this fails
	}
}

// assets are the files of the node's pages, by name, and their types.
var assets = map[string]string{
	"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "chart.js": "text/javascript; charset=utf-8",
	"icon.svg": "image/svg+xml",
}

// asset serves one of them.
func (g *Gateway) asset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/ui/")
	kind, ok := assets[name]
	if !ok {
		refuse(w, http.StatusNotFound, "there is no such file")
		return
	}
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "this file is missing")
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	h.Set("Cache-Control", "no-cache")
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // whoever asked is gone if this fails
	}
}

// home is the page of the node.
func (g *Gateway) home(w http.ResponseWriter, r *http.Request) { g.render(w, r, "home.html", nil) }

// ask is what a browser shows that another site sent here: the user decides whether the content is fetched. It says the
// same of what is here and of what is not.
func (g *Gateway) ask(w http.ResponseWriter, r *http.Request) {
	if c := CallerOf(r); c.Kind == Foreign && !c.Moves {
		g.turnAway(w, r, c)
		return
	}
	text := r.URL.Query().Get("u")
	t, err := targetOf(text)
	if err != nil {
		refuse(w, http.StatusBadRequest, oneLine(err))
		return
	}
	size := ""
	if t.size >= 0 {
		size = bytesText(t.size)
	}
	g.render(w, r, "open.html", struct{ Name, What, Size, Path string }{t.name, t.what(), size, t.url()})
}
