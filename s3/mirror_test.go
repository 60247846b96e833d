package s3

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sharer/mirror/storetest"
)

const patience = 2 * time.Minute

// build makes the two programs.
func build(t *testing.T) (sharer, store string) {
	t.Helper()
	dir := t.TempDir()
	sharer, store = filepath.Join(dir, "sharer"), filepath.Join(dir, "sharer-s3")
	for out, b := range map[string][2]string{sharer: {"..", "./cmd/sharer"}, store: {".", "./cmd/sharer-s3"}} {
		cmd := exec.Command("go", "build", "-o", out, b[1])
		cmd.Dir = b[0]
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	return sharer, store
}

// process starts a program that ends with the test, or by end. What it prints on stdout comes line by line.
func process(t *testing.T, program string, args ...string) (lines *bufio.Scanner, end func()) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_, _ = cmd.Process.Signal(os.Interrupt), cmd.Wait()
		}
	}
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("%s %s: %s", filepath.Base(program), strings.Join(args, " "), said.String())
		}
	})
	return bufio.NewScanner(out), end
}

// ready is where a daemon listens.
type ready struct {
	Type   string   `json:"type"`
	Listen []string `json:"listen"`
	Web    string   `json:"web"`
}

// daemon starts one, on loopback alone.
func daemon(t *testing.T, sharer string, args ...string) (r ready, end func()) {
	t.Helper()
	lines, end := process(t, sharer, append([]string{"daemon", "--json", "--isolated", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Type == "ready" {
			return r, end
		}
	}
	t.Fatal("a daemon that is not ready")
	return r, end
}

func say(t *testing.T, sharer string, args ...string) string {
	t.Helper()
	out, err := exec.Command(sharer, args...).Output()
	if err != nil {
		t.Fatalf("sharer %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// get is what a web server says to a question for some bytes.
func get(t *testing.T, url string, from, n int) ([]byte, error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+n-1))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// TestMirror: a folder is published and mirrored into the bucket, its publisher goes, and others have it from the bucket: by HTTP
// and as peers. An object that is damaged is given to nobody.
func TestMirror(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it ends processes by signals")
	}
	url, objects := server(t)
	dir := t.TempDir()
	sharer, program := build(t)
	socket := filepath.Join(dir, "s")
	process(t, program, "--socket", socket, url)
	listens(t, "unix", socket)
	big, h := storetest.Text(7, 64<<20+4711)
	small, _ := storetest.Text(8, 100)
	published := filepath.Join(dir, "published")
	for name, text := range map[string][]byte{"big": big, "d/small": small, "d/none": nil} {
		path := filepath.Join(published, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	publisher, leave := daemon(t, sharer, "--state-dir", at("publisher"))
	var link string
	for line := range strings.Lines(say(t, sharer, "publish", "--json", "all", published, "--state-dir", at("publisher"))) {
		var e struct{ Type, Link string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "published" && strings.HasSuffix(e.Link, "/all") {
			link = e.Link
		}
	}
	store := []string{"--state-dir", at("mirror"), "--mirror-store", socket}
	m, end := daemon(t, sharer, append(store, "--peer", publisher.Listen[0])...)
	if got := say(t, sharer, "mirror", "add", link, "--min-free", "0", "--name", "m", "--state-dir", at("mirror")); !strings.HasPrefix(got, "lcdp://") {
		t.Errorf("added as %q", got)
	}
	t.Logf("64 MiB mirrored into the bucket in %s", upToDate(t, sharer, at("mirror")))
	end()
	leave()
	m, end = daemon(t, sharer, store...) // it knows nothing but what it has kept
	begun := time.Now()
	if got, err := get(t, m.Web+"mirror/m/big", 0, len(big)); err != nil || !bytes.Equal(got, big) {
		t.Errorf("by HTTP: %d bytes, %v", len(got), err)
	}
	t.Logf("64 MiB by HTTP in %s", time.Since(begun))
	if got, err := get(t, m.Web+"mirror/m/d/small", 50, 10); err != nil || !bytes.Equal(got, small[50:60]) {
		t.Errorf("a range by HTTP: %d bytes, %v", len(got), err)
	}
	begun = time.Now()
	say(t, sharer, "get", "lcdp://blake3/"+h.String(), "-o", at("got"), "--isolated", "--listen", "127.0.0.1:0", "--peer", m.Listen[0], "--state-dir", at("newcomer"))
	if got, err := os.ReadFile(at("got")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("as a peer: %d bytes, %v", len(got), err)
	}
	t.Logf("64 MiB as a peer in %s", time.Since(begun))
	object := filepath.Join(objects, bucket, "some", "prefix", h.String())
	text, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	text[5<<20] ^= 1
	if err := os.WriteFile(object, text, 0o600); err != nil {
		t.Fatal(err)
	}
	end() // what it has read is in its memory
	m, end = daemon(t, sharer, store...)
	if got, err := get(t, m.Web+"mirror/m/big", 5<<20, 4096); err == nil || len(got) > 0 {
		t.Errorf("a damaged object: %d bytes were given, %v", len(got), err)
	}
	if got, err := get(t, m.Web+"mirror/m/big", 8<<20, 4096); err != nil || !bytes.Equal(got, big[8<<20:8<<20+4096]) {
		t.Errorf("the rest of it: %d bytes, %v", len(got), err)
	}
	if out, err := exec.Command(sharer, "daemon", "--isolated", "--listen", "127.0.0.1:0", "--state-dir", at("publisher"), "--mirror-store", at("none")).CombinedOutput(); err == nil || !strings.Contains(string(out), "Start what keeps it first") {
		t.Errorf("without the process of the store: %v %s", err, out)
	}

	// The state folder is lost. A new one beside the bucket takes over what is in it, and fetches no more than the list of files.
	end()
	text[5<<20] ^= 1
	if err := os.WriteFile(object, text, 0o600); err != nil {
		t.Fatal(err)
	}
	publisher, _ = daemon(t, sharer, "--state-dir", at("publisher"))
	m, _ = daemon(t, sharer, "--state-dir", at("again"), "--mirror-store", socket, "--peer", publisher.Listen[0])
	say(t, sharer, "mirror", "add", link, "--min-free", "0", "--name", "m", "--state-dir", at("again"))
	t.Logf("64 MiB taken over in %s", upToDate(t, sharer, at("again")))
	if down := received(t, m.Web); down > 4<<20 {
		t.Errorf("%.0f bytes were fetched of what the bucket has", down)
	}
	if got, err := get(t, m.Web+"mirror/m/big", 5<<20, 4096); err != nil || !bytes.Equal(got, big[5<<20:5<<20+4096]) {
		t.Errorf("what was taken over: %d bytes, %v", len(got), err)
	}
}

// upToDate waits until the mirror of a state folder is, and returns how long that took.
func upToDate(t *testing.T, sharer, state string) time.Duration {
	t.Helper()
	begun := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out := say(t, sharer, "mirror", "ls", "--json", "--state-dir", state)
		if strings.Contains(out, `"state":"up to date"`) && strings.Contains(out, `"files":3`) {
			return time.Since(begun)
		}
		if time.Since(begun) > patience {
			t.Fatalf("not mirrored: %s", out)
		}
		<-tick.C
	}
}

// received is how many bytes a node has got from others.
func received(t *testing.T, web string) (n float64) {
	t.Helper()
	resp, err := http.Get(web + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "} "); ok && strings.HasPrefix(name, "sharer_bytes_total") && strings.Contains(name, `dir="down"`) {
			var one float64
			if _, err := fmt.Sscan(value, &one); err != nil {
				t.Fatal(err)
			}
			n += one
		}
	}
	if n == 0 {
		t.Error("nothing was counted")
	}
	return n
}

// listens waits until somebody answers at an address.
func listens(t *testing.T, network, addr string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		if c, err := net.Dial(network, addr); err == nil {
			_ = c.Close()
			return
		}
		<-tick.C
	}
	t.Fatalf("nobody listens at %s", addr)
}
