package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sharer/internal/atomicfile"
)

const (
	maxGrants   = 256 // permissions; each was given by hand
	maxRequests = 32  // pages that were opened or refused lately: 300 bytes each, the oldest make room
)

// Grant lets one page use the node as its user does: the bridge, status, contents, uploads.
type Grant struct {
	Key  string    `json:"key"`  // blake3/<hex>, sha256/<hex>, folder/<hex>, or the origin of another site
	Name string    `json:"name"` // as it was called then; a stranger's text
	At   time.Time `json:"at"`
}

// Request is a page that was opened, or that was refused.
type Request struct {
	Key   string    `json:"key"`
	Name  string    `json:"name"`
	At    time.Time `json:"at"`
	Asked bool      `json:"asked"` // it tried to use the node
}

// Grants remembers what the user has allowed. Safe for concurrent use.
type Grants struct {
	path string // empty: in memory only
	now  func() time.Time

	mu       sync.Mutex
	fixed    []Grant // as the node was started: not in the file, and not taken back here
	grants   []Grant
	requests []Request // the latest last
}

// NewGrants returns an empty list that is kept in memory.
func NewGrants() *Grants { return &Grants{now: time.Now} }

// LoadGrants reads the list from a file, which is written at each change. A file that
// is damaged allows nothing; the error is ErrDamaged.
func LoadGrants(path string) (*Grants, error) {
	g := NewGrants()
	g.path = path
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return nil, fmt.Errorf("permissions of pages: %w", err)
	}
	if err := json.Unmarshal(text, &g.grants); err != nil {
		return nil, fmt.Errorf("permissions of pages: %w: %s: %w", ErrDamaged, path, err)
	}
	g.grants = slices.DeleteFunc(g.grants, func(x Grant) bool { return !grantable(x.Key) })
	return g, nil
}

// Site is the origin of a site as browsers send it, of what people write: https://Example.org/ for one.
func Site(text string) (string, error) {
	u, err := url.Parse(text)
	if err == nil && (u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == "" {
		host := strings.ToLower(u.Host)
		for scheme, port := range map[string]string{"https": ":443", "http": ":80"} {
			if u.Scheme == scheme {
				host = strings.TrimSuffix(host, port)
			}
		}
		if site := u.Scheme + "://" + host; u.User == nil && grantable(site) {
			return site, nil
		}
	}
	return "", fmt.Errorf("%w: %s is no site; want https://NAME or http://NAME, with :PORT if need be", ErrBadName, quoted(text))
}

// Trust allows sites for as long as the process runs, by the word of who started it. It is called before the list is used.
func (g *Grants) Trust(sites ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range sites {
		g.fixed = append(g.fixed, Grant{Key: s, Name: s + ", as the node was started", At: g.now().UTC()})
	}
}

// grantable says whether a key is that of a page, or of a site.
func grantable(key string) bool {
	if _, err := parsePage(key); err == nil {
		return true
	}
	u, err := url.Parse(key)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && key == u.Scheme+"://"+strings.ToLower(u.Host)
}

// Allows says whether the page or site with that key may use the node.
func (g *Grants) Allows(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := func(x Grant) bool { return x.Key == key }
	return key != "" && (slices.ContainsFunc(g.grants, of) || slices.ContainsFunc(g.fixed, of))
}

// Allow gives the permission, Revoke takes it back. The error is that of the file; then
// nothing has changed.
func (g *Grants) Allow(key, name string) error {
	if !grantable(key) {
		return fmt.Errorf("%w: %s is neither a content nor a site", ErrBadName, quoted(key))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(g.grants), func(x Grant) bool { return x.Key == key })
	if len(next) >= maxGrants {
		return fmt.Errorf("%d pages are allowed already; take some back first", maxGrants)
	}
	return g.replaceLocked(append(next, Grant{Key: key, Name: name, At: g.now().UTC().Truncate(time.Second)}))
}

// Revoke takes a permission back; what is not there is no error.
func (g *Grants) Revoke(key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := func(x Grant) bool { return x.Key == key }
	if slices.ContainsFunc(g.fixed, of) {
		return fmt.Errorf("%s is allowed by --http-origin; start the node without that", key)
	}
	return g.replaceLocked(slices.DeleteFunc(slices.Clone(g.grants), of))
}

func (g *Grants) replaceLocked(next []Grant) error {
	if g.path != "" {
		text, err := json.MarshalIndent(next, "", "\t")
		if err == nil {
			err = atomicfile.Write(g.path, append(text, '\n'), atomicfile.How{}) // a permission that was taken back stays so
		}
		if err != nil {
			return fmt.Errorf("permissions of pages: %w", err)
		}
	}
	g.grants = next
	return nil
}

// List returns the permissions and the pages that were opened or refused lately, the latest first.
func (g *Grants) List() ([]Grant, []Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	grants, requests := slices.Concat(g.fixed, g.grants), append([]Request{}, g.requests...)
	if grants == nil {
		grants = []Grant{} // a document says [], not null
	}
	slices.Reverse(grants)
	slices.Reverse(requests)
	return grants, requests
}

// opened notes that the user has gone to a page.
func (g *Grants) opened(p Page, name string) { g.note(Request{Key: p.Key(), Name: name}) }

// asked notes who was turned away.
func (g *Grants) asked(c Caller) {
	key := c.Page.Key()
	if key == "" {
		key = c.Origin
	}
	if grantable(key) {
		g.note(Request{Key: key, Asked: true})
	}
}

func (g *Grants) note(r Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.At = g.now().UTC()
	if i := slices.IndexFunc(g.requests, func(x Request) bool { return x.Key == r.Key }); i >= 0 {
		old := g.requests[i]
		r.Asked = r.Asked || old.Asked
		if r.Name == "" {
			r.Name = old.Name
		}
		g.requests = slices.Delete(g.requests, i, i+1)
	}
	if len(g.requests) >= maxRequests {
		g.requests = slices.Delete(g.requests, 0, 1)
	}
	g.requests = append(g.requests, r)
}

// isOpen says whether the user has gone to a page lately.
func (g *Grants) isOpen(p Page) bool {
	key := p.Key()
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.requests, func(x Request) bool { return x.Key == key })
}
