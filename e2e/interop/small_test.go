//go:build linux

package interop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The small nodes: what a person writes in an evening must work too.

var smallSizes = []int64{1, 4096, 4097, 65536, mib + 1}

// someFiles are files of those sizes, in one folder.
func someFiles(t *testing.T, seed byte) (dir string, files map[int64]string) {
	t.Helper()
	dir, files = folder(t), map[int64]string{}
	for _, size := range smallSizes {
		files[size] = filepath.Join(dir, fmt.Sprint(size))
		generate(t, files[size], size, seed)
	}
	return dir, files
}

// TestRuby exchanges contents with a node that knows ids without a slash only.
func TestRuby(t *testing.T) {
	needs(t, "ruby")
	here, there := newPlace(t), newPlace(t)
	ours, its := wire(here, there, "10.88.1")
	there.swallow() // it ends when a send fails
	dir, files := someFiles(t, 9)
	sums := map[int64]string{}
	hashed := here.start(folder(t), binary(t), "hash", "--json", dir)
	if code := hashed.exit(patience); code != 0 {
		t.Fatalf("sharer hash: exit %d: %s", code, hashed.stderr())
	}
	for _, e := range hashed.events("file") {
		for size, path := range files {
			if e.Path == path {
				sums[size] = e.SHA256
			}
		}
	}
	_, absent := program("SHARER_RUBY")
	for _, size := range smallSizes {
		cell(t, "Ruby gives sha256", fmt.Sprint(size), func(t *testing.T) (string, error) {
			if absent != nil {
				return "", absent
			}
			r, err := there.with(t).ruby("", map[string]string{sums[size]: files[size]})
			if err != nil {
				return "", err
			}
			_, err = here.with(t).fetch(sums[size], files[size], "--isolated", "--listen", ours+":0", "--peer", its+":"+rubyPort)
			if !r.running() {
				return "", fmt.Errorf("the Ruby node has ended: %s", r.stderr())
			}
			return "", err
		})
	}
	for _, size := range smallSizes {
		cell(t, "Ruby takes sha256", fmt.Sprint(size), func(t *testing.T) (string, error) {
			if absent != nil {
				return "", absent
			}
			r, err := there.with(t).ruby(sums[size], nil)
			if err != nil {
				return "", err
			}
			// It knows the public nodes only, and whoever spoke to it: we do.
			here.with(t).seed(ours+":24254", dir, "--isolated", "--peer", its+":"+rubyPort)
			got := filepath.Join(r.dir, "shared", sums[size])
			if !until(patience, func() bool { _, err := os.Stat(got); return err == nil || !r.running() }) || !r.running() {
				return "", fmt.Errorf("not there: %s %s", r.stdout(), r.stderr())
			}
			return "", same(got, files[size])
		})
	}
}

// TestPython has the node of twenty lines fetch a content from sharer, and sharer fetch it from there.
func TestPython(t *testing.T) {
	needs(t, "python3")
	here, there := newPlace(t), newPlace(t)
	ours, its := wire(here, there, "10.88.1")
	const port = "24300"
	script, err := filepath.Abs("../testdata/node.py")
	check(t, err)
	dir, files := someFiles(t, 10)
	for _, size := range smallSizes {
		got := filepath.Join(folder(t), "got")
		cell(t, "Python takes sha256, and gives it", fmt.Sprint(size), func(t *testing.T) (string, error) {
			s := here.with(t).seed(ours+":24254", dir, "--isolated")
			sum := ""
			for _, e := range s.events("file") {
				if e.Path == files[size] {
					sum = e.SHA256
				}
			}
			python := there.with(t).start(folder(t), "python3", script, its, port, sum, got, ours+":24254")
			there := func() bool { fi, err := os.Stat(got); return err == nil && fi.Size() == size }
			if !until(patience, func() bool { return there() || !python.running() }) || !python.running() {
				return "", fmt.Errorf("it takes nothing: %s", python.stderr())
			}
			if err := same(got, files[size]); err != nil {
				return "", err
			}
			s.kill()
			_, err := here.with(t).fetch(sum, files[size], "--isolated", "--listen", ours+":0", "--peer", its+":"+port)
			return "", err
		})
	}
}

// TestNetcat asks with one line of a shell, on the same machine and from another one.
func TestNetcat(t *testing.T) {
	needs(t, "nc")
	here, there := newPlace(t), newPlace(t)
	ours, _ := wire(here, there, "10.88.1")
	tiny := []byte("tiny\n")
	path := filepath.Join(folder(t), "tiny")
	check(t, os.WriteFile(path, tiny, 0o600))
	s := here.seed(":24254", path, "--isolated")
	sum := s.events("file")[0].SHA256
	other := here.seed(ours+":0", path, "--isolated", "--peer", ours+":24254").events("ready")[0].Listen[0]
	// Who is far away gets twice what it sends at most, a cookie first: blanks buy room.
	peers := `[{"PleaseSendPeers":{}}]` + strings.Repeat(" ", 100)
	block := fmt.Sprintf(`[{"PleaseSendContent":{"id":"%s","offset":0,"length":4096}}]%s`, sum, strings.Repeat(" ", 100))
	here.meets("127.0.0.1:24254", other)
	for _, from := range []struct {
		where string
		at    *place
		addr  string
	}{{"the same machine", here, "127.0.0.1:24254"}, {"another machine", there, ours + ":24254"}} {
		cell(t, "nc gets Peers", from.where, func(t *testing.T) (string, error) {
			out, err := from.at.with(t).netcat(from.addr, peers)
			if err == nil && !(strings.Contains(out, `{"Peers":{"peers":[`) && strings.Contains(out, `"`+other+`"`)) {
				err = fmt.Errorf("%s is not among the Peers in %q", other, out)
			}
			return "", err
		})
		cell(t, "nc gets a block", from.where, func(t *testing.T) (string, error) {
			out, err := from.at.with(t).netcat(from.addr, block)
			if err != nil {
				return "", err
			}
			var ms []message
			if err := json.NewDecoder(strings.NewReader(out)).Decode(&ms); err != nil {
				return "", fmt.Errorf("%w: %q", err, out)
			}
			var c struct{ Base64 string }
			if p := payload(ms, "Content"); p == nil {
				return "", fmt.Errorf("no Content in %q", out)
			} else if err := json.Unmarshal(p, &c); err != nil {
				return "", err
			}
			if data, err := base64.StdEncoding.DecodeString(c.Base64); err != nil || !bytes.Equal(data, tiny) {
				return "", fmt.Errorf("%q, %v", data, err)
			}
			return "", nil
		})
	}
}
