package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/folder"
)

// Config is what a gateway needs. Addr and Contents are necessary.
type Config struct {
	Addr     netip.AddrPort // where the server listens: its port is part of the names that it answers to
	Contents Contents
	Names    Names        // nil: names are not known
	Uploads  Uploads      // nil: nothing can be uploaded
	View     View         // nil: no status and no page of the node
	Deny     Deny         // nil: nothing is refused
	Bridge   http.Handler // of WebSockets, see CallerOf; nil: none
	Mirrors  http.Handler // /mirror/ and /mirror.json; nil: none. It answers pages of strangers without an origin
	Ops      http.Handler // /metrics, /healthz and /readyz for this machine; nil: none
	Grants   *Grants      // nil: kept in memory only

	// Spend is asked before a part of an answer goes to another machine: it returns how much of most bytes may go now, at least one, after it has waited
	// if it must. nil: nothing is counted or held back.
	Spend func(ctx context.Context, most int) (n int, err error)

	Hosts       []string      // further names, such as "mirror.example:443": who uses them counts as remote
	FindTimeout time.Duration // how long somebody is looked for who has a content; 0: 60 s
	MaxUpload   int64         // bytes of one upload; 0: 4 GiB
	Log         *slog.Logger  // nil: silent
}

const (
	defaultFindTimeout = 60 * time.Second
	defaultMaxUpload   = 4 << 30
)

func (c *Config) validate() error {
	switch {
	case !c.Addr.IsValid():
		return errors.New("gateway: no address")
	case c.Contents == nil:
		return errors.New("gateway: nothing to serve")
	}
	if c.FindTimeout <= 0 {
		c.FindTimeout = defaultFindTimeout
	}
	if c.MaxUpload <= 0 {
		c.MaxUpload = defaultMaxUpload
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Grants == nil {
		c.Grants = NewGrants()
	}
	return nil
}

// Gateway answers HTTP requests. Its methods are safe for concurrent use.
type Gateway struct {
	cfg       Config
	hosts     hosts
	routes    []route
	grants    *Grants
	types     *typeCache
	manifests *manifests
	uploads   chan struct{} // one token each that is under way
}

// New returns a gateway that serves what the configuration names.
func New(c Config) (*Gateway, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: c, hosts: newHosts(c.Addr, c.Hosts), grants: c.Grants, types: newTypeCache(), uploads: make(chan struct{}, maxUploads), manifests: &manifests{byID: map[chunk.ID]folder.Folder{}}}
	g.routes = g.table()
	return g, nil
}

// ServeHTTP is the only way in: the Host, who asks, the route, its methods, who may use
// it, and only then its handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := paced(w)
	w = out
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Add("Vary", "Origin")
	caller, ok := g.identify(r)
	if !ok {
		refuse(w, http.StatusMisdirectedRequest, "this node does not answer to the name "+quoted(r.Host)+"; use http://"+g.hosts.first())
		return
	}
	if caller.Remote && g.cfg.Spend != nil {
		out.spend = func(most int) (int, error) { return g.cfg.Spend(r.Context(), most) }
	}
	if r.Header.Get("Service-Worker") != "" {
		// One would go on answering for its page after the permission was taken back.
		refuse(w, http.StatusForbidden, "contents cannot be service workers")
		return
	}
	rt := g.find(r.URL.Path)
	if rt == nil || caller.Remote && !rt.remote || caller.At.Valid() && !rt.pages {
		refuse(w, http.StatusNotFound, "there is no such page here; contents are at /<sha256>, /blake3/<hex>, /folder/<hex> and /latest/<key>/<name>")
		return
	}
	if r.Method == http.MethodOptions {
		g.preflight(w, rt, caller)
		return
	}
	if !rt.allows(r.Method) {
		h.Set("Allow", rt.allowed())
		refuse(w, http.StatusMethodNotAllowed, r.Method+" does nothing here; it takes "+rt.allowed())
		return
	}
	if !rt.admits(caller) {
		g.turnAway(w, r, caller)
		return
	}
	if caller.Kind == App && caller.Origin != "" {
		allowOrigin(h, caller.Origin)
	}
	oneRange(r)
	rt.serve(w, withCaller(r, caller))
}

// turnAway answers who may not use a route.
func (g *Gateway) turnAway(w http.ResponseWriter, r *http.Request, c Caller) {
	g.grants.asked(c)
	text := "this request comes from another site's page, which may not use this node; allow it at http://" + g.hosts.first() + "/#access"
	switch {
	case c.Moves && c.Kind == Foreign && r.URL.Path == "/":
		text = "a link on another site led here, and it might do so unasked; to see the page of this node, type http://" + g.hosts.first() + "/ yourself"
	case c.Kind == Guest:
		text = "this page may not use the node yet; allow it at http://" + g.hosts.first() + "/#access"
	}
	refuse(w, http.StatusForbidden, text)
}

// refuse answers with one line that says what is wrong and what to do.
func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Del("ETag")
	h.Del("Content-Disposition")
	w.WriteHeader(status)
	// Whoever asked is gone if this fails.
	_, _ = w.Write([]byte(text + "\n"))
}

// quoted shortens and cleans a stranger's text for a line of an answer.
func quoted(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s[:min(len(s), 80)])
	return `"` + strings.ToValidUTF8(clean, "?") + `"`
}
