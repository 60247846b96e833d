//go:build linux

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// chromium is a headless browser with a profile of its own, driven by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).
// A hundred lines here are less than a library for it.
type chromium struct {
	t    *testing.T
	conn *websocket.Conn

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	tabs    map[string]*tab // by session
}

type reply struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// tab is one page of the browser.
type tab struct {
	b       *chromium
	session string

	mu   sync.Mutex
	said []string // what its scripts printed or threw
}

// browser starts Chromium; without one the test is skipped.
func browser(t *testing.T, h how) *chromium {
	t.Helper()
	needs(t, "chromium")
	profile := t.TempDir()
	args := []string{"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
		"--user-data-dir=" + profile, "--remote-debugging-port=0", "about:blank"}
	p := start(t, h, args...)
	var lines []string
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); len(lines) < 2; {
		select {
		case <-tick.C:
			if text, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort")); err == nil {
				lines = strings.Split(strings.TrimSpace(string(text)), "\n")
			}
		case <-p.ended:
			t.Skipf("skipped: chromium does not run here: %s", p.errors.String())
		case <-late:
			t.Fatal("chromium does not listen")
		}
	}
	conn, _, err := websocket.Dial(t.Context(), "ws://127.0.0.1:"+lines[0]+lines[1], nil)
	check(t, err)
	conn.SetReadLimit(64 << 20) // pictures
	b := &chromium{t: t, conn: conn, waiting: map[int]chan reply{}, tabs: map[string]*tab{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.read()
	}()
	t.Cleanup(func() {
		_ = conn.CloseNow() // it may be closed
		<-ended
		p.kill()
	})
	return b
}

// read hands answers to those who wait, and notes what pages say.
func (b *chromium) read() {
	for {
		_, text, err := b.conn.Read(context.Background())
		if err != nil {
			b.mu.Lock()
			for _, w := range b.waiting {
				close(w)
			}
			b.waiting = nil
			b.mu.Unlock()
			return
		}
		var m struct {
			ID      int             `json:"id"`
			Session string          `json:"sessionId"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
			reply
		}
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		b.mu.Lock()
		w, tab := b.waiting[m.ID], b.tabs[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case w != nil:
			w <- m.reply
		case tab != nil && (m.Method == "Runtime.consoleAPICalled" || m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded"):
			tab.mu.Lock()
			tab.said = append(tab.said, string(m.Params))
			tab.mu.Unlock()
		}
	}
}

var errGone = errors.New("the browser is gone")

// call asks the browser, or a page of it, and fills in the answer.
func (b *chromium) call(session, method string, params map[string]any, into any) error {
	b.mu.Lock()
	if b.waiting == nil {
		b.mu.Unlock()
		return errGone
	}
	b.last++
	id, w := b.last, make(chan reply, 1)
	b.waiting[id] = w
	b.mu.Unlock()
	m := map[string]any{"id": id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if session != "" {
		m["sessionId"] = session
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := b.conn.Write(b.t.Context(), websocket.MessageText, text); err != nil {
		return err
	}
	select {
	case r, ok := <-w:
		switch {
		case !ok:
			return errGone
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case into != nil:
			return json.Unmarshal(r.Result, into)
		}
		return nil
	case <-time.After(patience / 3):
		return fmt.Errorf("%s: no answer", method)
	}
}

// open opens a page.
func (b *chromium) open(url string) *tab {
	b.t.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	check(b.t, b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "newWindow": true}, &target))
	var attached struct {
		Session string `json:"sessionId"`
	}
	check(b.t, b.call("", "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached))
	p := &tab{b: b, session: attached.Session}
	b.mu.Lock()
	b.tabs[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "DOM"} {
		p.must(domain+".enable", nil, nil)
	}
	p.go_(url)
	return p
}

func (p *tab) must(method string, params map[string]any, into any) {
	p.b.t.Helper()
	check(p.b.t, p.b.call(p.session, method, params, into))
}

// go_ goes to a URL.
func (p *tab) go_(url string) {
	p.b.t.Helper()
	p.must("Page.navigate", map[string]any{"url": url}, nil)
	p.until("document.readyState === 'complete' || document.readyState === 'interactive'", "it is loaded: "+url)
}

// try evaluates an expression, waits for it if it is a promise, and fills in its value.
func (p *tab) try(expression string, into any) error {
	var out struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &out)
	switch {
	case err != nil:
		return err
	case out.Exception != nil:
		return fmt.Errorf("%s %s", out.Exception.Text, out.Exception.Exception.Description)
	case into == nil || out.Result.Value == nil:
		return nil
	}
	return json.Unmarshal(out.Result.Value, into)
}

// eval is try where it must succeed.
func (p *tab) eval(expression string, into any) {
	p.b.t.Helper()
	if err := p.try(expression, into); err != nil {
		p.b.t.Fatalf("%s: %v; the page said %s", expression, err, p.says())
	}
}

// until waits until an expression is true.
func (p *tab) until(expression, what string) {
	p.b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience / 2)
	for {
		var yes bool
		err := p.try("!!("+expression+")", &yes)
		if err == nil && yes {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			p.b.t.Fatalf("a page never shows that %s: %v; it said %s", what, err, p.says())
		}
	}
}

func (p *tab) says() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n")
}

// picture keeps a picture of the page as it is shown in a window of that size, light or dark.
func (p *tab) picture(name string, width, height int, dark bool) {
	p.b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.must("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.eval("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))", nil)
	var shot struct {
		Data string `json:"data"`
	}
	p.must("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	check(p.b.t, err)
	check(p.b.t, os.WriteFile(filepath.Join(pictures(p.b.t), name+".png"), png, 0o644))
	p.must("Emulation.clearDeviceMetricsOverride", nil, nil)
}

// pictures is the folder where pictures of pages are kept: SHARER_E2E_PICTURES, or a new one that is named.
var picturesDir = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("SHARER_E2E_PICTURES"); dir != "" {
		return dir, os.MkdirAll(dir, 0o755)
	}
	return os.MkdirTemp("", "sharer-pictures-")
})

func pictures(t *testing.T) string {
	t.Helper()
	dir, err := picturesDir()
	check(t, err)
	return dir
}

// give puts files into an <input type=file>.
func (p *tab) give(selector string, files ...string) {
	p.b.t.Helper()
	var doc struct {
		Root struct {
			ID int `json:"nodeId"`
		} `json:"root"`
	}
	p.must("DOM.getDocument", nil, &doc)
	var found struct {
		ID int `json:"nodeId"`
	}
	p.must("DOM.querySelector", map[string]any{"nodeId": doc.Root.ID, "selector": selector}, &found)
	p.must("DOM.setFileInputFiles", map[string]any{"nodeId": found.ID, "files": files}, nil)
}

// video makes a WebM of a minute and some 30 MB, out of five seconds that are encoded once, or skips the test.
func video(t *testing.T, path string) {
	t.Helper()
	needs(t, "ffmpeg")
	short := path + ".short.webm"
	for _, args := range [][]string{
		{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=5,noise=alls=60:allf=t", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
			"-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "2M", "-g", "10", short},
		{"-stream_loop", "11", "-i", short, "-c", "copy", path},
	} {
		if out, err := exec.Command("ffmpeg", append([]string{"-v", "error", "-y"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, out)
		}
	}
	check(t, os.Remove(short))
}
