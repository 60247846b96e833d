package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sharer/chunk"
	"sharer/control"
	"sharer/internal/atomicfile"
	"sharer/node"
	"sharer/seed"
)

func open(t *testing.T, dir string, keep bool) *Daemon {
	t.Helper()
	d, err := Open(Config{Node: node.Config{StateDir: dir, Listen: []string{"127.0.0.1:0"}, Isolated: true}, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// kept is the model of what a daemon keeps.
type kept struct {
	limits string
	bans   []netip.Prefix
	peers  []netip.AddrPort
	seeds  map[string]bool
	pinned map[string]bool
}

// step does one random thing to both, the daemon and the model.
func (k *kept) step(t *testing.T, d *Daemon, rng *rand.Rand, files []string) {
	t.Helper()
	n := rng.IntN(4)
	net := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 32)
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 24254)
	file := files[n]
	fails := func(err error, want bool) {
		t.Helper()
		if (err != nil) != want {
			t.Fatalf("%v, an error is expected: %v", err, want)
		}
	}
	switch rng.IntN(9) {
	case 0:
		text := []string{"1M", "off", "08:00,1M 20:00,0:2M", "default"}[n]
		_, err := d.SetLimits(text)
		fails(err, false)
		if k.limits = text; text == "default" {
			k.limits = ""
		}
	case 1:
		fails(d.Ban(net), false)
		if !slices.Contains(k.bans, net) {
			k.bans = append(k.bans, net)
		}
	case 2:
		fails(d.Unban(net), !slices.Contains(k.bans, net))
		k.bans = slices.DeleteFunc(k.bans, func(o netip.Prefix) bool { return o == net })
	case 3:
		fails(d.AddPeers([]netip.AddrPort{addr}), false)
		if !slices.Contains(k.peers, addr) {
			k.peers = append(k.peers, addr)
		}
	case 4:
		fails(d.RemovePeer(addr), !slices.Contains(k.peers, addr))
		k.peers = slices.DeleteFunc(k.peers, func(o netip.AddrPort) bool { return o == addr })
	case 5:
		_, err := d.Seed(t.Context(), seed.Options{Paths: []string{file}}, nil)
		fails(err, false)
		k.seeds[file] = true
	case 6:
		_, err := d.Remove(t.Context(), control.Change{What: file, DeleteData: true})
		fails(err, !k.seeds[file] || k.pinned[file])
		if err == nil {
			delete(k.seeds, file)
		}
	case 7:
		_, err := d.Pin(control.Change{What: file})
		fails(err, !k.seeds[file])
		k.pinned[file] = k.pinned[file] || err == nil
	case 8:
		if k.seeds[file] {
			_, err := d.Unpin(control.Change{What: file})
			fails(err, !k.pinned[file])
			delete(k.pinned, file)
		}
	}
}

// compare says what differs.
func (k *kept) compare(t *testing.T, d *Daemon) {
	t.Helper()
	if l := d.Limits(); l.Set != (k.limits != "") || l.Set && l.Text != k.limits {
		t.Errorf("limits are %+v, want %q", l, k.limits)
	}
	b := d.Bans()
	if !slices.Equal(b.Nets, k.bans) || !slices.Equal(b.Peers, k.peers) {
		t.Errorf("bans are %+v, want %v and %v", b, k.bans, k.peers)
	}
	got := map[string]bool{}
	for _, it := range d.Items() {
		got[string(it.Path)] = true
		if it.Pinned != k.pinned[string(it.Path)] {
			t.Errorf("%s: pinned is %v", it.Path, it.Pinned)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(k.seeds) {
		t.Errorf("items are %v, want %v", got, k.seeds)
	}
}

// TestKept compares a daemon, over restarts, with what it was told.
func TestKept(t *testing.T) {
	for trial := range uint64(3) {
		rng := rand.New(rand.NewPCG(trial, 7))
		dir := t.TempDir()
		var files []string
		for i := range 4 {
			files = append(files, filepath.Join(dir, fmt.Sprintf("f%d", i)))
			if err := os.WriteFile(files[i], []byte(files[i]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		k := &kept{seeds: map[string]bool{}, pinned: map[string]bool{}}
		d := open(t, filepath.Join(dir, "state"), true)
		for range 6 {
			for range 12 {
				k.step(t, d, rng, files)
			}
			k.compare(t, d)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = open(t, filepath.Join(dir, "state"), true)
			k.compare(t, d)
		}
		d.Close()
		for _, f := range files {
			if text, err := os.ReadFile(f); err != nil || string(text) != f {
				t.Errorf("a seeded file is %q now, %v", text, err)
			}
		}
	}
}

// TestForeground: a command that is a daemon while it runs keeps settings, and neither restores nor keeps what is seeded.
func TestForeground(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	d := open(t, state, true)
	if _, err := d.Seed(t.Context(), seed.Options{Paths: []string{file}}, nil); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.saved.Published = []*Published{{Name: "mine"}}
	if err := d.saveLocked(); err != nil {
		t.Fatal(err)
	}
	d.mu.Unlock()
	d.Close()
	d = open(t, state, false)
	if items := d.Items(); len(items) != 0 {
		t.Errorf("it seeds %+v", items)
	}
	if _, err := d.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.SetLimits("3M"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	d = open(t, state, true)
	if items := d.Items(); len(items) != 1 || string(items[0].Path) != file || d.Limits().Text != "3M" {
		t.Errorf("the daemon seeds %+v, with limits %+v", items, d.Limits())
	}
	if p := d.saved.Published; len(p) != 1 || p[0].Name != "mine" {
		t.Errorf("the daemon publishes %+v", p)
	}
}

// TestDiskThatFails: what cannot be kept is an error, and nothing has changed; then it works again (D5).
func TestDiskThatFails(t *testing.T) {
	state := t.TempDir()
	d := open(t, state, true)
	if _, err := d.SetLimits("1M"); err != nil {
		t.Fatal(err)
	}
	block := filepath.Join(state, "daemon.json"+atomicfile.Suffix) // a folder where the new document would be written
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	net := netip.MustParsePrefix("192.0.2.0/24")
	_, err := d.SetLimits("2M")
	for name, err := range map[string]error{
		"limits": err, "ban": d.Ban(net), "peers": d.AddPeers([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := d.Detach(control.Fetch{Named: "x", Path: control.Path(filepath.Join(state, "x"))}); err == nil {
		t.Error("a job is begun that is not kept")
	}
	if b := d.Bans(); d.Limits().Text != "1M" || len(b.Nets)+len(b.Peers) > 0 || len(d.Items()) > 0 {
		t.Errorf("%+v, %+v, %+v", d.Limits(), b, d.Items())
	}
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	if err := d.Ban(net); err != nil {
		t.Error(err)
	}
}

// TestDamagedDocument: it is kept aside, and the start goes on; one of a later version is not touched.
func TestDamagedDocument(t *testing.T) {
	state := t.TempDir()
	name := filepath.Join(state, "daemon.json")
	for n, text := range []string{"", "{", "[]", `{"v":0}`, strings.Repeat("\x00", 500)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d := open(t, state, true)
		aside := fmt.Sprintf("%s.bad-%d", name, n+1)
		if old, err := os.ReadFile(aside); err != nil || string(old) != text || !strings.Contains(strings.Join(d.Notes(), "\n"), aside) {
			t.Errorf("%q: %q, %v, notes %q", text, old, err, d.Notes())
		}
		d.Close()
	}
	if err := os.WriteFile(name, []byte(`{"v":99,"limits":"1M"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Node: node.Config{StateDir: state, Listen: []string{"127.0.0.1:0"}, Isolated: true}, Keep: true})
	if err == nil || !strings.Contains(err.Error(), "newer sharer") {
		t.Errorf("a document of a later version: %v", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != `{"v":99,"limits":"1M"}` {
		t.Errorf("it is %q now, %v", text, err)
	}
	open(t, t.TempDir(), true).Close() // the socket and the lock of the failed start are gone
}

// TestEndSavesOnce: jobs that end with the daemon are written down together, with one sync, however many they are.
func TestEndSavesOnce(t *testing.T) {
	state := t.TempDir()
	d := open(t, state, true)
	for i := range 3 {
		f := control.Fetch{ID: chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{byte(i)}}, Path: control.Path(filepath.Join(state, fmt.Sprint(i))), Size: -1}
		if _, err := d.Detach(f); err != nil {
			t.Fatal(err)
		}
	}
	name, before := filepath.Join(state, "daemon.json"), filepath.Join(state, "before")
	if err := os.Link(name, before); err != nil {
		t.Skip(err) // a file system without links
	}
	same := func() bool {
		now, err := os.Stat(name)
		was, werr := os.Stat(before)
		if err = errors.Join(err, werr); err != nil {
			t.Fatal(err)
		}
		return os.SameFile(now, was)
	}
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	d.stop()
	d.wg.Wait()
	if !same() {
		t.Error("a job that ends with the daemon writes for itself")
	}
	if err := d.Close(); err != nil || same() {
		t.Errorf("nothing is written at the end: %v", err)
	}
	if items := open(t, state, true).Items(); len(items) != 3 || items[2].State == string(JobFailed) {
		t.Errorf("%+v", items)
	}
}

func TestTwice(t *testing.T) {
	state := t.TempDir()
	open(t, state, true)
	_, err := Open(Config{Node: node.Config{StateDir: state, Listen: []string{"127.0.0.1:0"}, Isolated: true}})
	if l, ok := errors.AsType[*node.LockedError](err); !ok || l.PID != os.Getpid() || l.Path != state {
		t.Errorf("%v", err)
	}
}

func TestFind(t *testing.T) {
	items := []control.Item{
		{Kind: "seed", Name: "isos/", Path: "/a/isos", ID: "folder/" + strings.Repeat("1a", 32)},
		{Kind: "get", Job: "g7", Name: "film", Path: "/b/film", ID: "blake3/" + strings.Repeat("2b", 32)},
		{Kind: "get", Job: "g8", Name: "film", Path: "/c/film", ID: "blake3/" + strings.Repeat("3c", 32)},
	}
	for what, want := range map[string]string{
		"isos": "/a/isos", "isos/": "/a/isos", "g7": "/b/film", "/c/film": "/c/film", "folder/" + strings.Repeat("1A", 32): "/a/isos",
		"lcdp://blake3/" + strings.Repeat("3c", 32) + "/name?s=3": "/c/film", "blake3/2b2b2b2b..2b2b": "/b/film",
	} {
		got, err := find(items, what, "/nowhere")
		if err != nil || len(got) != 1 || string(got[0].Path) != want {
			t.Errorf("%q: %+v, %v", what, got, err)
		}
	}
	if got, err := find(items, "isos", "/c/film"); err != nil || string(got[0].Path) != "/c/film" {
		t.Errorf("a path that is there comes before a name: %+v, %v", got, err)
	}
	if _, err := find(items, "film", ""); !errors.Is(err, control.ErrBad) {
		t.Errorf("two of one name: %v", err)
	}
	for _, what := range []string{"", "nosuch", "g9", "blake3/" + strings.Repeat("4d", 32)} {
		if got, err := find(items, what, "/nowhere"); !errors.Is(err, control.ErrUnknown) {
			t.Errorf("%q: %+v, %v", what, got, err)
		}
	}
}

func TestMaySeed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"root/in", "out"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "out"), filepath.Join(dir, "root", "link")); err != nil {
		t.Skip(err)
	}
	d := &Daemon{cfg: Config{SeedRoots: []string{filepath.Join(dir, "root")}}}
	for path, want := range map[string]bool{"root": true, "root/in": true, "root/link": false, "out": false, "root/../out": false, "root/none": false} {
		if got := d.MaySeed(filepath.Join(dir, path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestPathsAreWhole: who asks does so from a folder of his own, so what a daemon was told by paths of its own folder it tells by whole ones.
func TestPathsAreWhole(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"st", "pub"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(Config{Node: node.Config{StateDir: "st", Listen: []string{"127.0.0.1:0"}, Isolated: true}, SeedRoots: []string{"pub"}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := string(d.About().State); !filepath.IsAbs(got) || filepath.Base(got) != "st" {
		t.Errorf("the state folder is told as %s", got)
	}
	if pub := filepath.Join(dir, "pub"); !d.MaySeed(pub) || d.MaySeed(dir) {
		t.Errorf("of %s others may have seeded: %v, of %s: %v", pub, d.MaySeed(pub), dir, d.MaySeed(dir))
	}
}
