//go:build linux

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// web asks the local web page of a place for a path, and returns the body.
func (p *place) web(path string) (body []byte, err error) {
	p.t.Helper()
	err = p.inside(func() error {
		c, err := net.DialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 24255})
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: 127.0.0.1:24255\r\n\r\n", path); err != nil {
			return err
		}
		text, err := io.ReadAll(c)
		if err != nil && len(text) == 0 {
			return err
		}
		_, after, ok := bytes.Cut(text, []byte("\r\n\r\n"))
		if !ok {
			return fmt.Errorf("no answer to %s: %.200s", path, text)
		}
		body = after
		return nil
	})
	return body, err
}

// key is the Rust node's, with 0x.
func (r rust) key(p *place) (string, error) {
	text, err := p.web("/status.json")
	if err != nil {
		return "", err
	}
	var status struct {
		Key string `json:"public_key"`
	}
	err = json.Unmarshal(text, &status)
	return status.Key, err
}

// heard waits until one of ours has printed a message.
func (x *process) heard(text string) (found event, err error) {
	ok := until(patience, func() bool {
		for _, e := range x.events("chat") {
			if e.Text == text {
				found = e
				return true
			}
		}
		return false
	})
	if !ok {
		return event{}, fmt.Errorf("%q was not heard: %s", text, x.stdout())
	}
	return found, nil
}

// said is what our chat printed of a message that it has sent.
func (x *process) said() (event, error) {
	if code := x.exit(patience); code != 0 {
		return event{}, fmt.Errorf("exit %d: %s", code, x.stderr())
	}
	es := x.events("chat")
	if len(es) == 0 {
		return event{}, fmt.Errorf("nothing was said: %s", x.stdout())
	}
	return es[len(es)-1], nil
}

// TestTalking has people behind both programs talk, sealed, each way.
func TestTalking(t *testing.T) {
	needs(t)
	here, there := newPlace(t), newPlace(t)
	ourIP, rustIP := wire(here, there, "10.88.1")
	dir := folder(t)
	generate(t, filepath.Join(dir, "x"), 100, 1)
	s := here.seed(":24254", dir)
	r, absent := there.rust()
	var rustKey, ourKey string
	if absent == nil {
		var err error
		rustKey, err = r.key(there)
		check(t, err)
		text, err := os.ReadFile(filepath.Join(s.dir, "state", "key.json"))
		check(t, err)
		var file struct {
			Public string `json:"public"`
		}
		check(t, json.Unmarshal(text, &file))
		ourKey = "0x" + file.Public
	}
	try := func(row, col string, f func(t *testing.T) (string, error)) {
		cell(t, row, col, func(t *testing.T) (string, error) {
			if absent != nil {
				return "", absent
			}
			return f(t)
		})
	}
	// again says a line until it is heard: the Rust node looks for a key that it does not know, and forgets the message.
	again := func(line, text string) (event, error) {
		for range 10 {
			r.say("%s", line)
			if until(2*time.Second, func() bool { return strings.Contains(s.stdout(), text) }) {
				return s.heard(text)
			}
		}
		return event{}, fmt.Errorf("%s: not heard: ours: %s theirs: %s", line, s.stdout(), r.stdout())
	}
	sealed := func(e event, err error) (string, error) {
		switch {
		case err != nil:
			return "", err
		case "0x"+e.Key != rustKey || !e.Sealed:
			return "", fmt.Errorf("it came as %+v, not sealed by %s", e, rustKey)
		}
		return "sealed by 0x" + e.Key[:12], nil
	}
	try("Rust's /msg KEY", "sharer seed", func(t *testing.T) (string, error) {
		return sealed(again("/msg "+ourKey+" hello by key", "hello by key"))
	})
	try("Rust's /msg ADDR", "sharer seed", func(t *testing.T) (string, error) {
		return sealed(again("/msg "+ourIP+":24254 hello by address", "hello by address"))
	})
	try("Rust's group chat", "sharer seed", func(t *testing.T) (string, error) {
		e, err := again("hello everybody", "hello everybody")
		if err == nil && e.Group != "main" {
			err = fmt.Errorf("in the group %q", e.Group)
		}
		if err != nil {
			return "", err
		}
		if until(4*time.Second, func() bool { return strings.Count(s.stdout(), "hello everybody") > 1 }) { // it repeats itself meanwhile
			return "", fmt.Errorf("it was shown twice: %s", s.stdout())
		}
		return sealed(e, nil)
	})
	try("Rust's /msg KEY /ping", "sharer seed", func(t *testing.T) (string, error) {
		r.say("/msg %s /ping", ourKey)
		if !until(patience, func() bool { return strings.Contains(r.stdout(), "PONG") }) {
			return "", fmt.Errorf("no PONG: %s", r.stdout())
		}
		return "PONG", nil
	})
	shows := func(text string) error {
		if !until(patience, func() bool { return strings.Contains(r.stdout(), text) }) {
			return fmt.Errorf("the Rust node does not show %q: %s", text, r.stdout())
		}
		return nil
	}
	ours := []string{"--isolated", "--listen", "10.88.1.1:0", "--peer", rustIP + ":" + rustPort}
	for _, c := range []struct{ what, to, text string }{{"KEY", rustKey, "a word by key"}, {"ADDR", rustIP + ":" + rustPort, "a word by address"}} {
		try("sharer chat --to "+c.what, "Rust", func(t *testing.T) (string, error) {
			e, err := here.with(t).sharer(append([]string{"chat", "--timeout", "30s", "--to", c.to, c.text}, ours...)...).said()
			if err != nil {
				return "", err
			}
			if "0x"+e.Key != rustKey || !e.Sealed {
				return "", fmt.Errorf("it was sent as %+v", e)
			}
			return "sealed for 0x" + e.Key[:12], shows(c.text)
		})
	}
	try("sharer chat --group main", "Rust", func(t *testing.T) (string, error) {
		e, err := here.with(t).sharer(append([]string{"chat", "--timeout", "30s", "a word to all"}, ours...)...).said()
		if err != nil {
			return "", err
		}
		return "", first(shows("a word to all"), func() error {
			if e.Group != "main" {
				return fmt.Errorf("%+v", e)
			}
			return nil
		}())
	})
	try("sharer whois", "Rust", func(t *testing.T) (string, error) {
		x := here.with(t).sharer(append([]string{"whois", rustKey}, ours...)...)
		if code := x.exit(patience); code != 0 {
			return "", fmt.Errorf("exit %d: %s", code, x.stderr())
		}
		if !strings.Contains(x.stdout(), `"address":"`+rustIP+":"+rustPort+`","proven":true`) {
			return "", fmt.Errorf("%s", x.stdout())
		}
		return "", nil
	})
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestNames has each program fetch what the other has published under a name, and then what is newer.
func TestNames(t *testing.T) {
	needs(t)
	_, absent := program("SHARER_RUST")
	cell(t, "sharer get lcdp://KEY/NAME", "what Rust publishes", func(t *testing.T) (string, error) {
		if absent != nil {
			return "", absent
		}
		here, there := newPlace(t), newPlace(t)
		_, rustIP := wire(here, there, "10.88.1")
		r, err := there.rust()
		if err != nil {
			return "", err
		}
		key, err := r.key(there)
		if err != nil {
			return "", err
		}
		origin := filepath.Join(r.dir, "cjp2p", "origin")
		check(t, os.MkdirAll(filepath.Join(origin, "sub"), 0o755))
		name := filepath.Join(origin, "sub", "page.html")
		for version := byte(1); version <= 2; version++ {
			generate(t, name, 10_000, version)
			check(t, os.Chtimes(name, time.Time{}, time.Unix(1_700_000_000+int64(version), 0))) // the time is its number
			want := filepath.Join(folder(t), "want")
			generate(t, want, 10_000, version)
			if _, err := here.with(t).fetch("lcdp://"+key+"/sub/page.html", want, "--isolated", "--listen", "10.88.1.1:0", "--peer", rustIP+":"+rustPort); err != nil {
				return "", fmt.Errorf("version %d: %w", version, err)
			}
		}
		return "two versions", nil
	})
	cell(t, "Rust's /latest/KEY/NAME", "what sharer publishes", func(t *testing.T) (string, error) {
		if absent != nil {
			return "", absent
		}
		here, there := newPlace(t), newPlace(t)
		wire(here, there, "10.88.1")
		r, err := there.rust()
		if err != nil {
			return "", err
		}
		dir := folder(t)
		for version := byte(1); version <= 2; version++ {
			path := filepath.Join(dir, "page.html")
			generate(t, path, 10_000, version)
			want, err := os.ReadFile(path)
			check(t, err)
			x := here.start(folder(t), binary(t), "publish", "--json", "--listen", ":24254", "--state-dir", filepath.Join(dir, "state"), "sub/page.html", path)
			if !until(patience, func() bool { return len(x.events("published")) > 0 || !x.running() }) || !x.running() {
				return "", fmt.Errorf("not published: %s", x.stderr())
			}
			_, link, _ := strings.Cut(x.events("published")[0].Link, "lcdp://")
			var got []byte
			if !until(patience, func() bool {
				got, err = there.web("/latest/" + link)
				return err == nil && bytes.Equal(got, want)
			}) {
				return "", fmt.Errorf("version %d: %d bytes, %v; it says %s", version, len(got), err, r.stdout())
			}
			x.kill()
		}
		return "two versions", nil
	})
}
