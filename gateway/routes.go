package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// route is one entry of the table. Nothing is reached but through it.
type route struct {
	path    string // exact, or with a slash at its end what begins with it
	methods []string
	callers []Kind // who may use it
	remote  bool   // also from other machines: GET of what is held
	pages   bool   // also at the origins of pages
	serve   http.HandlerFunc
}

var (
	read  = []string{http.MethodGet, http.MethodHead}
	write = []string{http.MethodPost}

	owner = []Kind{Own, Program}                      // the user's own doing
	users = []Kind{Own, Program, App}                 // and what the user has allowed
	all   = []Kind{Own, Program, App, Guest, Foreign} // the handler tells them apart
)

// contentPath is what the table calls contents by a bare sha256.
const contentPath = "/<sha256>"

// table is every route there is. A test asks each of them under wrong hosts and from wrong origins.
func (g *Gateway) table() []route {
	rs := []route{
		{path: contentPath, methods: read, callers: all, remote: true, pages: true, serve: g.content},
		{path: "/sha256/", methods: read, callers: all, remote: true, pages: true, serve: g.content},
		{path: "/blake3/", methods: read, callers: all, remote: true, pages: true, serve: g.content},
		{path: "/b3/", methods: read, callers: all, remote: true, pages: true, serve: g.content},
		{path: "/folder/", methods: read, callers: all, remote: true, pages: true, serve: g.content},
	}
	own := func(path string, methods []string, serve http.HandlerFunc) {
		rs = append(rs, route{path: path, methods: methods, callers: owner, serve: serve})
	}
	app := func(path string, methods []string, serve http.HandlerFunc) {
		rs = append(rs, route{path: path, methods: methods, callers: users, pages: true, serve: serve})
	}
	rs = append(rs,
		route{path: "/latest/", methods: read, callers: all, remote: true, pages: true, serve: g.content},
		route{path: "/ui/", methods: read, callers: []Kind{Own, Program, App, Guest}, remote: true, pages: true, serve: g.asset},
		route{path: "/open", methods: read, callers: all, serve: g.ask})
	if g.cfg.View != nil {
		own("/", read, g.home)
		own("/api/state", read, g.state)
		own("/api/qr", read, g.code)
		own("/api/fetch", write, g.fetch)
		own("/api/remove", write, g.remove)
		own("/api/chat", write, g.say)
		own("/api/access", write, g.access)
		app("/status.json", read, g.status)
	}
	if g.cfg.Uploads != nil {
		app("/upload", write, g.upload)
	}
	if g.cfg.Uploads != nil && g.cfg.Names != nil {
		app("/publish_origin", write, g.publish)
	}
	if g.cfg.Mirrors != nil {
		for _, path := range []string{"/mirror/", "/mirror.json"} {
			rs = append(rs, route{path: path, methods: read, callers: owner, remote: true, serve: g.cfg.Mirrors.ServeHTTP})
		}
	}
	if g.cfg.Ops != nil {
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			own(path, read, g.cfg.Ops.ServeHTTP)
		}
	}
	if g.cfg.Bridge != nil {
		app("/wt", read[:1], g.cfg.Bridge.ServeHTTP)
		app("/ws", read[:1], g.cfg.Bridge.ServeHTTP)
	}
	return rs
}

// find is the route of a path; nil: there is none.
func (g *Gateway) find(path string) *route {
	for i := range g.routes {
		rt := &g.routes[i]
		switch {
		case rt.path == contentPath:
			if bareHash(path) {
				return rt
			}
		case rt.path == path, len(rt.path) > 1 && strings.HasSuffix(rt.path, "/") && strings.HasPrefix(path, rt.path):
			return rt
		}
	}
	return nil
}

// bareHash says whether a path begins with 64 hex digits alone.
func bareHash(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return len(first) == 64 && strings.Trim(strings.ToLower(first), "0123456789abcdef") == ""
}

func (rt *route) allows(method string) bool { return slices.Contains(rt.methods, method) }
func (rt *route) allowed() string           { return strings.Join(rt.methods, ", ") }
func (rt *route) admits(c Caller) bool {
	return slices.Contains(rt.callers, c.Kind) || c.Remote && rt.remote
}

// preflight answers a browser that asks whether a page may: yes to what the user has allowed.
func (g *Gateway) preflight(w http.ResponseWriter, rt *route, c Caller) {
	if c.Kind != App || !rt.admits(c) {
		refuse(w, http.StatusForbidden, "no other site's page may use this node, but those that were allowed on the node's own page")
		return
	}
	h := w.Header()
	allowOrigin(h, c.Origin)
	h.Set("Access-Control-Allow-Methods", rt.allowed())
	h.Set("Access-Control-Allow-Headers", "Content-Type, Range, X-Filename")
	h.Set("Access-Control-Allow-Private-Network", "true")
	h.Set("Access-Control-Max-Age", "60") // a permission can be taken back
	w.WriteHeader(http.StatusNoContent)
}

// allowOrigin lets a page of another origin read the answer.
func allowOrigin(h http.Header, origin string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Accept-Ranges, Content-Length, Content-Range, ETag")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}
