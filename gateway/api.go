package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rsc.io/qr"

	"sharer/chunk"
	"sharer/link"
)

// maxAction is the longest document that the node's page sends, in bytes.
const maxAction = 64 << 10

// action reads the document of a request, or answers what is wrong with it.
func action(w http.ResponseWriter, r *http.Request, into any) bool {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAction))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "want a JSON document of at most 64 KiB")
		return false
	}
	return true
}

// done answers an action that has no more to say.
func done(w http.ResponseWriter, err error, status int) {
	if err != nil {
		refuse(w, status, oneLine(err))
		return
	}
	answer(w, struct{}{})
}

// fetch has a link fetched and kept.
func (g *Gateway) fetch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Link string `json:"link"`
		Keep bool   `json:"keep"` // else only where it can be read is answered
	}
	if !action(w, r, &in) {
		return
	}
	t, err := targetOf(in.Link)
	if err != nil {
		refuse(w, http.StatusBadRequest, oneLine(err))
		return
	}
	if g.denied(w, t.id, t.also) {
		return
	}
	if in.Keep && !g.keep(w, r, t) {
		return
	}
	answer(w, struct {
		Path string `json:"path"`
		Name string `json:"name"`
		Size int64  `json:"size"`
	}{t.url(), t.name, t.size})
}

// keep has what a link names fetched into the store, or answers why not.
func (g *Gateway) keep(w http.ResponseWriter, r *http.Request, t target) bool {
	want := Want{ID: t.id, Also: t.also, Name: t.name, Size: t.size, Peers: t.peers, Wait: g.cfg.FindTimeout}
	if t.latest {
		n, ok := g.resolve(w, r, t)
		if !ok || g.denied(w, n.ID, n.Also) {
			return false
		}
		t.folder = n.Folder
		want.ID, want.Also, want.Size, want.Name = n.ID, n.Also, n.Size, t.name[strings.LastIndexByte(t.name, '/')+1:]
	}
	if t.folder {
		refuse(w, http.StatusBadRequest, "a folder cannot be kept from here; open it, or fetch it with sharer get or sharer mirror")
		return false
	}
	if err := g.cfg.View.Fetch(r.Context(), want); err != nil {
		g.failed(w, r, t, err)
		return false
	}
	return true
}

// targetOf reads a link as people paste it.
func targetOf(text string) (target, error) {
	text = strings.TrimSpace(text)
	path := text
	if u, err := url.Parse(text); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		path = u.EscapedPath()
	} else if rest, ok := strings.CutPrefix(text, "lcdp://"); ok && len(strings.TrimPrefix(rest, "0x")) > 64 {
		if first, name, ok := strings.Cut(strings.TrimPrefix(rest, "0x"), "/"); ok && len(first) == 64 {
			path = "/latest/" + first + "/" + name
		}
	}
	if strings.HasPrefix(path, "/latest/") {
		return parseTarget(path, "")
	}
	l, err := link.Parse(text)
	if err != nil {
		return target{}, err
	}
	if l.ID.Kind == chunk.BLAKE3Tree {
		return target{}, errors.New("a tree is fetched with its content; paste the link of that")
	}
	return target{id: l.ID, also: l.Also, name: l.Name, size: l.Size, peers: l.Peers, folder: l.Folder, path: l.Path}, nil
}

// PathOf is where a link, in any of the forms that people paste, is read at a gateway. The error is one line.
func PathOf(text string) (string, error) {
	t, err := targetOf(text)
	if err != nil {
		return "", err
	}
	return t.url(), nil
}

// url is where a target is read here; the other hash and the peers that the link names go along.
func (t target) url() string {
	switch {
	case t.latest:
		return "/latest/" + t.key.String() + "/" + escapePath(t.name)
	case t.folder:
		return "/folder/" + t.id.Hash.String() + "/" + escapePath(t.path)
	}
	var hints []string
	if t.also.Kind == chunk.SHA256 {
		hints = append(hints, "h=sha256:"+t.also.Hash.String())
	} else if t.also.Kind == chunk.BLAKE3 {
		hints = append(hints, "h=blake3:"+t.also.Hash.String())
	}
	for _, p := range t.peers {
		hints = append(hints, "p="+url.QueryEscape(p.String()))
	}
	path := pathOf(t.id, t.name)
	if len(hints) > 0 {
		path += "?" + strings.Join(hints, "&")
	}
	return path
}

// pathOf is where a content is read here.
func pathOf(id chunk.ID, name string) string {
	path := "/" + id.String()
	if name != "" && name != "." && name != ".." {
		path += "/" + url.PathEscape(name)
	}
	return path
}

func escapePath(path string) string { return strings.ReplaceAll(url.PathEscape(path), "%2F", "/") }

func (i Item) path() string {
	if i.Folder {
		return "/folder/" + i.BLAKE3.String() + "/"
	}
	return pathOf(chunk.ID{Kind: chunk.BLAKE3, Hash: i.BLAKE3}, i.Name)
}

func (i Item) link() string {
	sums := chunk.Sums{BLAKE3: i.BLAKE3, SHA256: i.SHA256, Size: i.Size}
	if i.Folder {
		return link.ForFolder(sums, i.Name, i.Size).String()
	}
	return link.For(sums, i.Name).String()
}

// remove forgets what is in the store.
func (g *Gateway) remove(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID chunk.ID `json:"id"`
	}
	if action(w, r, &in) {
		done(w, g.cfg.View.Remove(r.Context(), in.ID), http.StatusNotFound)
	}
}

// maxSaid is the longest chat message that the page sends, in bytes: it has to fit a datagram.
const maxSaid = 1000

func (g *Gateway) say(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Text string `json:"text"`
	}
	if !action(w, r, &in) {
		return
	}
	if text := strings.TrimSpace(in.Text); text == "" || len(text) > maxSaid {
		refuse(w, http.StatusBadRequest, "a message has between 1 and 1000 bytes")
		return
	}
	done(w, g.cfg.View.Say(r.Context(), strings.TrimSpace(in.Text)), http.StatusBadGateway)
}

// access gives or takes back the permission of a page.
func (g *Gateway) access(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Key   string `json:"key"`
		Name  string `json:"name"`
		Allow bool   `json:"allow"`
	}
	switch {
	case !action(w, r, &in):
	case in.Allow:
		done(w, g.grants.Allow(in.Key, in.Name), http.StatusBadRequest)
	default:
		done(w, g.grants.Revoke(in.Key), http.StatusInternalServerError)
	}
}

// code draws a link as a QR code.
func (g *Gateway) code(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("text")
	if text == "" || len(text) > 1024 {
		refuse(w, http.StatusBadRequest, "want ?text= with at most 1024 bytes")
		return
	}
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		refuse(w, http.StatusBadRequest, "this is too long for a QR code")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, drawn(c)) // whoever asked is gone if this fails
}

// drawn is a code as SVG: a row of dark modules is one rectangle.
func drawn(c *qr.Code) string {
	const quiet = 4
	var b strings.Builder
	size := c.Size + 2*quiet
	fmtInt := strconv.Itoa
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + fmtInt(size) + " " + fmtInt(size) + `" shape-rendering="crispEdges"><rect width="100%" height="100%" fill="#fff"/><path fill="#111" d="`)
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for x < c.Size && c.Black(x, y) {
				x++
			}
			if x > from {
				b.WriteString("M" + fmtInt(from+quiet) + " " + fmtInt(y+quiet) + "h" + fmtInt(x-from) + "v1h-" + fmtInt(x-from) + "z")
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String()
}
