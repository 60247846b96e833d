//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestLoopback compares a get with curl from nginx, the same file, one after the other: the
// bar is what was reached with room for noise. The benchmark proper, with more runs, is go run ./bench.
func TestLoopback(t *testing.T) {
	needs(t, "nginx", "curl")
	const runs = 5
	dir := folder(t)
	path := filepath.Join(dir, "large")
	generate(t, path, large(t), 5)
	url := nginx(t, dir) + "/large"
	seed, addr := seeding(t, how{}, "127.0.0.1:0", path)
	id := "blake3/" + seed.file(path).BLAKE3
	up := seed.memory()
	target := filepath.Join(dir, "copy")
	var ours, theirs []time.Duration
	var down int64
	for range runs {
		warm(t, dir)
		begun := time.Now()
		get := getting(t, how{}, "127.0.0.1:0", addr, id, target)
		memory := get.memory()
		get.want(0)
		ours = append(ours, time.Since(begun))
		down = max(down, memory())
		same(t, target, path)
		check(t, os.Remove(target))

		warm(t, dir)
		begun = time.Now()
		run(t, "curl", "-sS", "-f", "-o", target, url)
		theirs = append(theirs, time.Since(begun))
		same(t, target, path)
		check(t, os.Remove(target))
	}
	ratio := median(theirs).Seconds() / median(ours).Seconds()
	t.Logf("get %v, curl from nginx %v: %.2f × curl", ours, theirs, ratio)
	if timed() && ratio < 0.3 {
		t.Errorf("get reaches %.2f × curl, want 0.3", ratio)
	}
	atMost(t, "seed", up(), 150*mib)
	atMost(t, "get", down, 150*mib)
}

// TestLoopbackBig holds the memory bound for 8 GiB.
func TestLoopbackBig(t *testing.T) {
	needs(t)
	if os.Getenv("SHARER_E2E_BIG") != "1" {
		t.Skip("skipped: SHARER_E2E_BIG=1 is not set: it needs 16 GiB of disk")
	}
	const size = 8 << 30
	dir := folder(t)
	path, target := filepath.Join(dir, "big"), filepath.Join(dir, "copy")
	generate(t, path, size, 6)
	begun := time.Now()
	seed := sharer(t, how{}, "seed", "--json", "--isolated", "--listen", "127.0.0.1:0", path)
	up := seed.memory()
	addr := seed.wait("ready", isType("ready")).Listen[0]
	t.Logf("8 GiB hashed in %.1fs", time.Since(begun).Seconds())
	begun = time.Now()
	get := getting(t, how{}, "127.0.0.1:0", addr, seed.file(path).Link, target)
	down := get.memory()
	get.want(0)
	t.Logf("8 GiB fetched in %.1fs", time.Since(begun).Seconds())
	atMost(t, "seed", up(), 150*mib)
	atMost(t, "get", down(), 150*mib)
	same(t, target, path)
}

// warm touches memory, so that no run is the first to do so: on a virtual machine that costs
// more than what is measured.
func warm(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "warm")
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	_, err = io.CopyN(f, random(0), 3<<29)
	check(t, err)
	check(t, os.Remove(path))
}

// nginx serves a folder on loopback until the test ends.
func nginx(t *testing.T, dir string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	addr := l.Addr().String()
	check(t, l.Close())
	return nginxAt(t, how{}, addr, dir)
}

// nginxAt serves a folder at an address, from wherever how says, until the test ends.
func nginxAt(t *testing.T, h how, addr, dir string) (url string) {
	t.Helper()
	home := folder(t)
	conf := filepath.Join(home, "nginx.conf")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off; sendfile on; tcp_nopush on;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen %[2]s; root %[3]s; }
}
`, home, addr, dir), 0o600))
	p := start(t, h, "nginx", "-p", home, "-c", conf)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		knock := append(append([]string(nil), h.through...), "curl", "-sS", "-o", "/dev/null", "http://"+addr)
		if exec.Command(knock[0], knock[1:]...).Run() == nil {
			return "http://" + addr
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("nginx ended: %s", p.errors.String())
		}
	}
	t.Fatal("nginx does not answer")
	return ""
}

// timed says whether figures of speed are held to their bars. Elsewhere they are only
// told: a machine that others use now and then proves nothing by them.
func timed() bool { return os.Getenv("SHARER_E2E_BARS") == "1" }
