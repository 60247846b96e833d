package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// retryAfter is what a client is told that asked for what nobody has, in seconds.
const retryAfter = 30

// content serves what a path names.
func (g *Gateway) content(w http.ResponseWriter, r *http.Request) {
	c := CallerOf(r)
	t, err := parseTarget(r.URL.EscapedPath(), r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, oneLine(err))
		return
	}
	if !g.mayRead(w, r, c, t) {
		return
	}
	if c.Kind != Own && c.Kind != Program || c.Remote {
		t.peers = nil // a page must not aim this node at addresses of its choice
	}
	switch {
	case t.latest:
		g.latest(w, r, t)
	case t.folder:
		g.folder(w, r, t, immutable)
	default:
		g.serve(w, r, t, immutable)
	}
}

// caching is how long an answer may be kept.
const (
	immutable = "public, max-age=31536000, immutable"
	brief     = "public, max-age=10"
)

// mayRead lets those read who may, and answers the others.
func (g *Gateway) mayRead(w http.ResponseWriter, r *http.Request, c Caller, t target) bool {
	switch {
	case c.Remote || c.Kind == Own || c.Kind == Program || c.Kind == App:
		return true
	case c.Kind == Guest && t.page() == c.Page:
		return true
	case c.Kind == Foreign && c.Moves && c.At.Valid() && t.page() == c.At && g.grants.isOpen(c.At):
		return true // the user came here by the node's own redirect
	case c.Kind == Foreign && c.Moves:
		// The same answer whether it is here or not: the user decides.
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "http://"+g.hosts.first()+"/open?u="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return false
	}
	g.turnAway(w, r, c)
	return false
}

// denied answers for what must not be served.
func (g *Gateway) denied(w http.ResponseWriter, ids ...chunk.ID) bool {
	if g.cfg.Deny == nil {
		return false
	}
	for _, id := range ids {
		if !id.Valid() {
			continue
		}
		if d, no := g.cfg.Deny.Denied(id); no {
			status := http.StatusGone
			if d.Legal {
				status = http.StatusUnavailableForLegalReasons
			}
			refuse(w, status, "this node does not serve "+id.String())
			return true
		}
	}
	return false
}

// open opens a content for a request, or answers why not.
func (g *Gateway) open(w http.ResponseWriter, r *http.Request, t target) Content {
	if g.denied(w, t.id, t.also) {
		return nil
	}
	body, err := g.cfg.Contents.Open(r.Context(), Want{
		ID: t.id, Also: t.also, Name: t.name, Size: t.size, Peers: t.peers, Held: CallerOf(r).Remote, Wait: g.cfg.FindTimeout,
	})
	if err != nil {
		g.failed(w, r, t, err)
		return nil
	}
	return body
}

// failed answers why a content could not be opened.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, t target, err error) {
	switch {
	case r.Context().Err() != nil:
		return // nobody listens
	case errors.Is(err, ErrDenied):
		refuse(w, http.StatusGone, "this node does not serve "+t.what())
	case errors.Is(err, ErrBadName):
		refuse(w, http.StatusBadRequest, oneLine(err))
	case errors.Is(err, ErrNotHeld):
		refuse(w, http.StatusNotFound, "this node does not hold "+t.what()+", and fetches nothing for others")
	case errors.Is(err, ErrNotFound), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		refuse(w, http.StatusGatewayTimeout, fmt.Sprintf("no peer has %s after %v; try again later, or add a peer", t.what(), g.cfg.FindTimeout.Round(time.Second)))
	case errors.Is(err, ErrQuota), errors.Is(err, ErrDiskFull), errors.Is(err, ErrTooLarge):
		refuse(w, http.StatusInsufficientStorage, oneLine(err)+"; remove something, or raise the quota of the store")
	case errors.Is(err, ErrIntegrity), errors.Is(err, folder.ErrFormat), errors.Is(err, folder.ErrVersion):
		refuse(w, http.StatusBadGateway, oneLine(err))
	default:
		g.cfg.Log.Warn("a content could not be opened", "id", t.what(), "err", err)
		refuse(w, http.StatusInternalServerError, "the content could not be opened: "+oneLine(err))
	}
}

// oneLine is an error as one line of an answer.
func oneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	return text[:min(len(text), 300)]
}

// serve sends one content.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, t target, keep string) {
	body := g.open(w, r, t)
	if body == nil {
		return
	}
	defer body.Close() // opened for reading
	kind, err := g.types.of(t, body)
	if err == nil && !body.Verified() {
		if media(kind) {
			w.Header().Set("X-Unverified", "a sha256 is checked at the end")
			keep = "no-store" // or what some peer sent would be kept as that id for ever
		} else {
			err = body.Whole(r.Context())
		}
	}
	if err != nil {
		g.failed(w, r, t, err)
		return
	}
	if g.toOwnOrigin(w, r, t, kind) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind) // set here, or ServeContent would wait for the first block
	h.Set("ETag", `"`+t.id.String()+`"`)
	h.Set("Cache-Control", keep)
	if t.name != "" {
		h.Set("Content-Disposition", disposition(t.name))
	}
	if at := CallerOf(r).At; at.Valid() && at == t.page() {
		h.Set("Content-Security-Policy", "frame-ancestors 'self'")
	} else if !strings.HasPrefix(kind, "application/pdf") { // whose viewers refuse to run in a sandbox, and have an origin of their own
		h.Set("Content-Security-Policy", sandbox)
	}
	send(w, r, body)
}

// toOwnOrigin sends a browser that shows a page to the origin that is the page's alone.
// Where browsers do not know such names, or what is shown is part of another page, the sandbox does.
func (g *Gateway) toOwnOrigin(w http.ResponseWriter, r *http.Request, t target, kind string) bool {
	c := CallerOf(r)
	if !active(kind) {
		return false
	}
	w.Header().Add("Vary", "Sec-Fetch-Dest")
	if c.Remote || c.Kind != Own || !c.Moves || c.At.Valid() || !separates(r.UserAgent()) || !t.page().Valid() {
		return false
	}
	g.grants.opened(t.page(), t.name)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "http://"+t.page().label()+g.hosts.suffix+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	return true
}

// separates says whether a browser takes every name below localhost for this machine, and for an origin of its
// own: those of Chromium and Firefox do, Safari asks the system, which may not know it.
func separates(agent string) bool {
	return strings.Contains(agent, "Chrome/") || strings.Contains(agent, "Firefox/")
}

// sandbox is the policy of contents that are shown at an origin that is not their own: scripts run with an
// origin that nobody has, and so can use nothing.
const sandbox = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"

// resolve asks what a publisher's name means now, or answers why that is not known.
func (g *Gateway) resolve(w http.ResponseWriter, r *http.Request, t target) (Named, bool) {
	if g.cfg.Names == nil {
		refuse(w, http.StatusNotFound, "this node does not follow publishers' names; ask for an id, such as /blake3/<hex>")
		return Named{}, false
	}
	n, err := g.cfg.Names.Resolve(r.Context(), t.key, t.name, g.cfg.FindTimeout, CallerOf(r).Remote)
	if err != nil {
		g.failed(w, r, t, err)
		return Named{}, false
	}
	return n, true
}

// latest serves what a publisher's name means now.
func (g *Gateway) latest(w http.ResponseWriter, r *http.Request, t target) {
	n, ok := g.resolve(w, r, t)
	if !ok {
		return
	}
	found := target{id: n.ID, also: n.Also, size: n.Size, name: t.name[strings.LastIndexByte(t.name, '/')+1:], within: t.page()}
	if n.Folder {
		found.folder, found.path, found.slash = true, n.Path, t.slash
		g.folder(w, r, found, brief)
		return
	}
	g.serve(w, r, found, brief)
}

// readManifest gathers a folder's manifest.
func (g *Gateway) readManifest(ctx context.Context, t target, held bool) (folder.Folder, error) {
	return folder.Read(ctx, t.id.Hash, func(ctx context.Context, h chunk.Hash) ([]byte, error) {
		want := Want{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: h}, Size: -1, Peers: t.peers, Held: held, Wait: g.cfg.FindTimeout}
		if h == t.id.Hash {
			want.Also = t.also
		}
		body, err := g.cfg.Contents.Open(ctx, want)
		if err != nil {
			return nil, err
		}
		defer body.Close() // opened for reading
		return io.ReadAll(io.LimitReader(body, folder.MaxPage+1))
	})
}
