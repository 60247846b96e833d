//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// webNode is a daemon-like node whose page a browser opens.
type webNode struct {
	*process
	udp, base, state string
	args             []string // the verb at first
}

// web is a node with a page. args begin with paths that it seeds, and may name peers and limits.
func web(t *testing.T, args ...string) *webNode {
	t.Helper()
	return webBy(t, "seed", args...)
}

func webBy(t *testing.T, verb string, args ...string) *webNode {
	t.Helper()
	args = append([]string{verb}, args...)
	n := &webNode{udp: freePort(t), base: "http://" + freeTCP(t), state: filepath.Join(t.TempDir(), "state"), args: args}
	n.start(t)
	return n
}

// start starts it, again too.
func (n *webNode) start(t *testing.T) {
	t.Helper()
	n.process = sharer(t, how{}, append(n.args, "--json", "--isolated", "--listen", n.udp, "--state-dir", n.state, "--http", strings.TrimPrefix(n.base, "http://"))...)
	n.process.wait("ready", isType("ready"))
}

func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// nodeState is what a test reads of /api/state.
type nodeState struct {
	Key      string `json:"key"`
	Arriving []struct {
		Done  int64 `json:"done"`
		Total int64 `json:"total"`
	} `json:"arriving"`
	Shared []struct {
		Name, Path, Link string
		Stored           bool
	} `json:"shared"`
	Chat     []any `json:"chat"`
	Grants   []any `json:"grants"`
	Requests []struct{ Key string }
}

// look is the node's state as the user's own program sees it.
func (n *webNode) look(t *testing.T) (s nodeState) {
	t.Helper()
	resp, err := http.Get(n.base + "/api/state")
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	check(t, json.Unmarshal(text, &s))
	return s
}

func (n *webNode) shots(p *tab, what string) {
	p.picture(what+"-light", 1280, 900, false)
	p.picture(what+"-dark", 1280, 900, true)
	p.picture(what+"-phone", 390, 844, false)
}

// TestBrowserPage uses a node's page as a person does: shares a file, keeps a film that another node sends at
// 20 Mbit/s, watches it meanwhile, and jumps in it.
func TestBrowserPage(t *testing.T) {
	needs(t, "chromium", "ffmpeg")
	dir := folder(t)
	film := filepath.Join(dir, "film.webm")
	video(t, film)
	fi, err := os.Stat(film)
	check(t, err)
	far := web(t, film, "--bwlimit", "2500K:off")
	near := webBy(t, "daemon", "--peer", far.udp)
	b := browser(t, how{})
	p := b.open(near.base + "/")
	p.until("state && state.peers.length > 0", "there is a peer")
	near.shots(p, "empty")

	upload := filepath.Join(dir, "holiday photo.txt")
	check(t, os.WriteFile(upload, []byte(strings.Repeat("sunshine ", 5000)), 0o644))
	p.give("#files", upload)
	p.until(`[...document.querySelectorAll("#uploads .sub")].some(e => e.textContent.includes("shared"))`, "the file is shared")
	p.until(`[...document.querySelectorAll("#uploads button")].some(e => e.textContent === "Copy link")`, "its link can be had")
	p.until(`state.shared.some(i => i.name === "holiday photo.txt" && i.stored)`, "it is listed")
	near.shots(p, "sharing")
	if s := far.look(t); len(s.Shared) != 1 {
		t.Fatalf("the other node shares %+v", s.Shared)
	}

	// Two lines of the chat that are the same, as anybody can send them, are two rows and stay two.
	var rows int
	p.eval(`(() => { for (let i = 0; i < 5; i++) talk([1, 2].map(() => ({at: 1, from: "x", text: "y"}))); return document.querySelectorAll("#chat li").length; })()`, &rows)
	if rows != 2 {
		t.Errorf("the same line said twice is %d rows", rows)
	}

	link := far.file(film).Link
	p.eval(fmt.Sprintf(`document.getElementById("link").value = %q; document.querySelector("#open button[value=keep]").click()`, link), nil)
	p.until("state.arriving.some(a => a.done > 0 && a.done < a.total)", "it arrives")
	near.shots(p, "fetching")
	p.eval(fmt.Sprintf(`document.getElementById("link").value = %q; document.querySelector("#open button[value=open]").click()`, link), nil)
	p.until(`document.querySelector("#stage video") && document.querySelector("#stage video").currentTime > 0.3`, "it plays")
	var seek struct {
		Took, At, Duration float64
		Done, Total        int64
	}
	p.eval(`(async () => {
	  const v = document.querySelector("#stage video"), begun = performance.now();
	  const done = new Promise(r => v.addEventListener("seeked", r, {once: true}));
	  v.currentTime = v.duration * 0.8;
	  await done;
	  const took = performance.now() - begun, s = await (await fetch("/api/state")).json(), a = s.arriving[0] || {done: 0, total: 0};
	  return {took, at: v.currentTime, duration: v.duration, done: a.done, total: a.total};
	})()`, &seek)
	t.Logf("a film of %.0f s and %.1f MB at 20 Mbit/s: a jump to %.0f s took %.0f ms, with %.1f of %.1f MB there", seek.Duration, float64(fi.Size())/1e6, seek.At, seek.Took, float64(seek.Done)/1e6, float64(seek.Total)/1e6)
	if seek.Done == 0 || seek.Done > seek.Total*7/10 || seek.At < seek.Duration*0.75 {
		t.Errorf("it was not a jump to what had not arrived: %+v", seek)
	}
	at := seek.At + 0.5
	p.until(fmt.Sprintf(`document.querySelector("#stage video").currentTime > %f`, at), "it plays on from there")
	p.picture("playing-light", 1280, 900, false)
	p.eval(`document.getElementById("player").close()`, nil)
	p.until(`state.arriving.length === 0`, "it has arrived")
	p.until(`state.shared.some(i => i.name === "film.webm")`, "all of it is here")
	if said := p.says(); said != "" {
		t.Errorf("the page said %s", said)
	}
	t.Logf("pictures are in %s", pictures(t))
}

// TestBrowserApps lets a page of the swarm, fetched by id on two nodes, use each node once its user has allowed it: it is asked
// for on the node's page. The two talk by the keys of their nodes, film each other, and come back after a restart.
func TestBrowserApps(t *testing.T) {
	needs(t, "chromium")
	app, err := filepath.Abs("testdata/app.html")
	check(t, err)
	other := filepath.Join(folder(t), "other.txt")
	check(t, os.WriteFile(other, []byte("something\n"), 0o644))
	first := web(t, app)
	second := web(t, other, "--peer", first.udp)
	b := browser(t, how{})
	path := "/blake3/" + first.file(app).BLAKE3 + "/app.html"
	var pages []*tab
	var keys []string
	for _, n := range []*webNode{first, second} {
		p := b.open(n.base + path)
		p.until("refused > 0", "the page is turned away before it is allowed")
		var origin string
		p.eval("location.origin", &origin)
		if !strings.Contains(origin, ".localhost:") {
			t.Fatalf("the page is at %s", origin)
		}
		home := b.open(n.base + "/")
		home.until(`document.querySelector("#requests button")`, "the node's page says who asks")
		home.picture("asking-light", 1280, 900, false)
		home.eval(`document.querySelector("#requests button").click()`, nil)
		p.until("key !== ''", "the page is greeted once it is allowed")
		var key string
		p.eval("key", &key)
		if key != keyOf(t, n.state) {
			t.Errorf("greeted with %s", key)
		}
		pages, keys = append(pages, p), append(keys, key)
	}
	for i, p := range pages {
		other, him := pages[1-i], keys[1-i]
		for j := range 3 {
			p.eval(fmt.Sprintf(`say(%q, {Move: "%d-%d"}, %t)`, him, i, j, j == 2), nil)
			other.until(fmt.Sprintf(`heard.some(h => h.move === "%d-%d" && h.from === %q)`, i, j, keys[i]), "a message comes, by key")
		}
	}
	filming := make(chan error, len(pages))
	for i, p := range pages { // 2500 bytes each 10 ms are 2 Mbit/s
		go func() { filming <- p.try(fmt.Sprintf(`film(%q, 500, 2400)`, keys[1-i]), nil) }()
	}
	for range pages {
		check(t, <-filming)
	}
	for i, p := range pages {
		p.until("delays.length >= 490", "frames come")
		var delays []float64
		p.eval("delays", &delays)
		slices.Sort(delays)
		t.Logf("page %d: %d of 500 frames came, after %.1f ms (median), %.1f (99 of 100), clocks and timers of the browser included", i, len(delays), delays[len(delays)/2], delays[len(delays)*99/100])
	}

	if code := second.stop(); code != 0 {
		t.Errorf("the node ends with %d", code)
	}
	pages[1].until("key === ''", "the page notices that the node is gone")
	second.start(t)
	pages[1].until("key !== '' && greeted > 1", "the page comes back to the node")
	pages[1].eval(fmt.Sprintf(`say(%q, {Move: "again"})`, keys[0]), nil)
	pages[0].until(fmt.Sprintf(`heard.some(h => h.move === "again" && h.from === %q)`, keys[1]), "messages go on")

	// A permission that is taken back ends the connection.
	home := b.open(second.base + "/")
	home.until(`document.querySelector("#grants button")`, "the page is listed as allowed")
	home.eval(`document.querySelector("#grants button").click()`, nil)
	pages[1].until("key === ''", "the page is turned away")
}

// TestBrowserHostile lets a hostile page try all it can against a node: from other origins, and stored as content and opened
// by the user, at the node's name and at the page's own. It gets nothing, and nothing has changed.
func TestBrowserHostile(t *testing.T) {
	needs(t, "chromium")
	hostile, err := filepath.Abs("testdata/hostile.html")
	check(t, err)
	text := filepath.Join(folder(t), "diary.txt")
	check(t, os.WriteFile(text, []byte("nobody's business\n"), 0o644))
	n := web(t, hostile, text)
	elsewhere := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	defer elsewhere.Close()
	b := browser(t, how{})
	held := "/blake3/" + n.file(text).BLAKE3 + "/diary.txt"
	before := n.look(t)
	stored := b.open(n.base + "/blake3/" + n.file(hostile).BLAKE3 + "/hostile.html")
	var own string
	stored.eval("location.origin", &own)
	if own == n.base {
		t.Fatalf("a stored page is at %s", own)
	}
	for _, tc := range []struct {
		who  string
		page *tab
		node string
		may  []string // what listings of folders are drawn with is at every origin, and says nothing
	}{
		{"another port", b.open(elsewhere.URL + "/hostile.html"), n.base, nil},
		{"localhost", b.open(strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1) + "/hostile.html"), strings.Replace(n.base, "127.0.0.1", "localhost", 1), nil},
		{"a stored page", stored, n.base, nil},
		{"a stored page, at its own origin", stored, own, []string{"its style", "its scripts"}},
	} {
		var out struct {
			Tried int
			Got   []string
		}
		tc.page.eval(fmt.Sprintf("attack(%q, %q)", tc.node, held), &out)
		t.Logf("%s tried %d tricks", tc.who, out.Tried)
		out.Got = slices.DeleteFunc(out.Got, func(name string) bool { return slices.Contains(tc.may, name) })
		if len(out.Got) > 0 || out.Tried < 20 {
			t.Errorf("%s got %q of %d", tc.who, out.Got, out.Tried)
		}
	}
	after := n.look(t)
	if len(after.Shared) != len(before.Shared) || len(after.Arriving) != 0 || len(after.Chat) != 0 || len(after.Grants) != 0 {
		t.Errorf("the node was %+v, and is %+v", before, after)
	}
	// The same tricks do work for the user's own page, or this test would prove nothing.
	home := b.open(n.base + "/")
	script, err := os.ReadFile(hostile)
	check(t, err)
	_, tricks, _ := strings.Cut(string(script), "<script>")
	tricks, _, _ = strings.Cut(tricks, "</script>\n")
	var out struct{ Got []string }
	home.eval(strings.Replace(tricks, `"use strict";`, "", 1), nil)
	for try := 0; try < 3 && len(out.Got) < 8; try++ { // a busy machine may need longer than a trick waits
		home.eval(fmt.Sprintf("attack(%q, %q)", n.base, held), &out)
	}
	if len(out.Got) < 8 {
		t.Errorf("the node's own page got no more than %q", out.Got)
	}
	t.Logf("the node's own page gets %d of them: %q", len(out.Got), out.Got)
}
