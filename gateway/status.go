package gateway

import (
	"encoding/json"
	"net/http"
	"net/netip"
)

// answer sends a document.
func answer(w http.ResponseWriter, doc any) {
	text, err := json.Marshal(doc)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the answer could not be written")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(append(text, '\n')) // whoever asked is gone if this fails
}

// statusPeer is a peer as pages of the swarm know it.
type statusPeer struct {
	Addr  string  `json:"addr"`
	Pub   string  `json:"pub"`
	Delay float64 `json:"delay_ms"`
}

// fastPeer is what counts as one: half of a second's tenth.
const fastPeer = 0.05

// status is /status.json, in the words that pages of the swarm read.
func (g *Gateway) status(w http.ResponseWriter, r *http.Request) {
	s := g.cfg.View.Status(r.Context())
	doc := struct {
		Version   string       `json:"version"`
		PublicKey string       `json:"public_key"`
		Peers     int          `json:"total_peers"`
		IPs       int          `json:"unique_ips"`
		Active    int          `json:"active_peer_count"`
		Fast      int          `json:"fast_peer_count"`
		List      []statusPeer `json:"active_peers"`
		Free      int64        `json:"free_disk_bytes"`
	}{Version: s.Version, PublicKey: key(s.PublicKey), Peers: len(s.Peers), List: []statusPeer{}, Free: s.FreeDisk}
	ips := map[netip.Addr]bool{}
	for _, p := range s.Peers {
		if a, err := netip.ParseAddrPort(p.Addr); err == nil {
			ips[a.Addr()] = true
		}
		if !p.Active {
			continue
		}
		doc.Active++
		if rtt := p.RTT.Seconds(); rtt > 0 && rtt <= fastPeer {
			doc.Fast++
		}
		doc.List = append(doc.List, statusPeer{p.Addr, key(p.Key), float64(p.RTT.Microseconds()) / 1000})
	}
	doc.IPs = len(ips)
	answer(w, doc)
}

// key is a public key as pages write it; empty for none.
func key(k [32]byte) string {
	if k == [32]byte{} {
		return ""
	}
	const digits = "0123456789abcdef"
	out := []byte("0x")
	for _, b := range k {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// state is what the node's page shows.
func (g *Gateway) state(w http.ResponseWriter, r *http.Request) {
	s := g.cfg.View.Status(r.Context())
	grants, requests := g.grants.List()
	doc := pageState{
		Version: s.Version, Key: key(s.PublicKey), Listen: s.Listen, Base: "http://" + g.hosts.first(),
		Free: s.FreeDisk, Store: s.Store, SharedAll: s.SharedAll, Up: s.Up, Down: s.Down,
		Peers: []pagePeer{}, Shared: []pageItem{}, Arriving: []pageArrival{}, Chat: []pageLine{},
		Grants: grants, Requests: requests,
	}
	for _, p := range s.Peers {
		doc.Peers = append(doc.Peers, pagePeer{p.Addr, key(p.Key), float64(p.RTT.Microseconds()) / 1000, p.Active})
	}
	for _, i := range s.Shared {
		doc.Shared = append(doc.Shared, pageItem{
			Name: i.Name, Size: i.Size, Path: i.path(), Link: i.link(), Folder: i.Folder, Stored: i.Stored, At: i.At.Unix(),
		})
	}
	for _, a := range s.Arriving {
		doc.Arriving = append(doc.Arriving, pageArrival{
			Name: a.Name, ID: a.ID.String(), Path: pathOf(a.ID, a.Name), Done: a.Done, Total: a.Total, Rate: a.Rate, State: a.State, Sources: a.Sources, Readers: a.Readers,
		})
	}
	for _, l := range s.Chat {
		doc.Chat = append(doc.Chat, pageLine{l.At.Unix(), l.From, l.Text})
	}
	answer(w, doc)
}

// pageState and what is in it are the documents of the node's page; its script is their only reader.
type pageState struct {
	Version   string        `json:"version"`
	Key       string        `json:"key"`
	Listen    []string      `json:"listen"`
	Base      string        `json:"base"`
	Free      int64         `json:"free"`
	Store     Usage         `json:"store"`
	SharedAll int           `json:"shared_all"`
	Up        int64         `json:"up"`
	Down      int64         `json:"down"`
	Peers     []pagePeer    `json:"peers"`
	Shared    []pageItem    `json:"shared"`
	Arriving  []pageArrival `json:"arriving"`
	Chat      []pageLine    `json:"chat"`
	Grants    []Grant       `json:"grants"`
	Requests  []Request     `json:"requests"`
}

type pagePeer struct {
	Addr   string  `json:"addr"`
	Key    string  `json:"key"`
	RTT    float64 `json:"rtt"` // milliseconds, 0: not measured
	Active bool    `json:"active"`
}

type pageItem struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Path   string `json:"path"`
	Link   string `json:"link"`
	Folder bool   `json:"folder"`
	Stored bool   `json:"stored"`
	At     int64  `json:"at"`
}

type pageArrival struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"`
	Path    string  `json:"path"`
	Done    int64   `json:"done"`
	Total   int64   `json:"total"`
	Rate    float64 `json:"rate"`
	State   string  `json:"state"`
	Sources int     `json:"sources"`
	Readers int     `json:"readers"`
}

type pageLine struct {
	At   int64  `json:"at"`
	From string `json:"from"`
	Text string `json:"text"`
}
