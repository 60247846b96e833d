//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sharer/control"
	"sharer/mirror"
)

// mirrorFiles is how many files are published: SHARER_E2E_MIRROR_FILES, else a number that takes seconds.
func mirrorFiles(t *testing.T, usual int) int {
	text := os.Getenv("SHARER_E2E_MIRROR_FILES")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// followed is a publisher's folder with a mirror of it, in a namespace.
type followed struct {
	t      *testing.T
	ns     *namespace
	dir    string
	from   *peerNode
	to     *peerNode
	served *control.Client // of from
	kept   *control.Client // of to
}

// follow publishes n files of a text each, and adds a mirror that looks by itself once an hour.
func follow(t *testing.T, n int, text func(i int) []byte) *followed {
	t.Helper()
	needs(t, "ip")
	f := &followed{t: t, ns: newNamespace(t), dir: filepath.Join(folder(t), "files")}
	for i := range n {
		f.write(i, text(i))
	}
	f.from = f.daemon(40130)
	begun := time.Now()
	link := f.from.publish("files", f.dir)
	t.Logf("%d files hashed and published in %.1fs", n, time.Since(begun).Seconds())
	f.to = f.daemon(40131, f.from)
	f.dial()
	f.to.must("mirror", "add", link, "--min-free", "0", "--every", "1h", "--grace", "0s", "--keep", "1")
	return f
}

// daemon starts one that does not read its contents again and again.
func (f *followed) daemon(port int, peers ...*peerNode) *peerNode {
	f.t.Helper()
	n := &peerNode{t: f.t, ns: f.ns, dir: filepath.Join(folder(f.t), "state"), addr: fmt.Sprintf("127.0.0.1:%d", port), scrub: "720h"}
	n.start(peers...)
	return n
}

// dial asks the daemons over their sockets.
func (f *followed) dial() {
	f.t.Helper()
	for _, one := range []struct {
		n *peerNode
		c **control.Client
	}{{f.from, &f.served}, {f.to, &f.kept}} {
		c, err := control.Dial(f.t.Context(), one.n.dir)
		check(f.t, err)
		f.t.Cleanup(func() { c.Close() })
		*one.c = c
	}
}

func (f *followed) path(i int) string {
	return filepath.Join(f.dir, fmt.Sprintf("d%03d", i/1000), "f"+strconv.Itoa(i))
}

func (f *followed) write(i int, text []byte) {
	f.t.Helper()
	if i%1000 == 0 {
		check(f.t, os.MkdirAll(filepath.Dir(f.path(i)), 0o755))
	}
	check(f.t, os.WriteFile(f.path(i), text, 0o644))
}

func (f *followed) look() mirror.Look {
	f.t.Helper()
	looks, err := f.kept.Mirrors(f.t.Context())
	check(f.t, err)
	if len(looks) != 1 {
		f.t.Fatalf("%d mirrors", len(looks))
	}
	return looks[0]
}

// whole waits until the latest version that is known is there, and was not the one before.
func (f *followed) whole(before mirror.Head) (l mirror.Look) {
	f.t.Helper()
	awaited(f.t, "the version", func() bool {
		l = f.look()
		return !l.Current.Zero() && l.Current.ID != before.ID && l.Current.ID == l.State.Latest().ID && l.Doing == mirror.Idle
	})
	return l
}

// pages are the sizes of the manifest's pages that the mirror has, by their names.
func (f *followed) pages() map[string]int64 {
	f.t.Helper()
	entries, err := os.ReadDir(filepath.Join(f.to.dir, "mirrors", "files", "pages"))
	check(f.t, err)
	sizes := map[string]int64{}
	for _, e := range entries {
		fi, err := e.Info()
		check(f.t, err)
		sizes[e.Name()] = fi.Size()
	}
	return sizes
}

func (f *followed) sent() int64 {
	f.t.Helper()
	st, err := f.served.Status(f.t.Context())
	check(f.t, err)
	return st.Sent
}

// TestMirrorDelta: of a folder of which 100 files have changed these alone, and the pages of the manifest that name them, are
// sent by its publisher; and who asks in vain whether there is something new sends one datagram, and gets one.
func TestMirrorDelta(t *testing.T) {
	const changes, size = 100, 8 << 10
	files := mirrorFiles(t, 2000)
	text := func(i, version int) []byte {
		line := fmt.Appendf(nil, "version %d of file %d\n", version, i)
		return []byte(strings.Repeat(string(line), size/len(line)+1)[:size])
	}
	f := follow(t, files, func(i int) []byte { return text(i, 1) })
	begun := time.Now()
	first := f.whole(mirror.Head{})
	t.Logf("first sync of %d files in %.1fs", files, time.Since(begun).Seconds())

	f.idle()

	had, sent := f.pages(), f.sent()
	changed := rand.New(rand.NewPCG(7, 7)).Perm(files)[:changes]
	for _, i := range changed {
		// As tools do that are watched by others: the new file takes the place of the old one at once.
		check(t, os.WriteFile(f.path(i)+"~", text(i, 2), 0o644))
		check(t, os.Rename(f.path(i)+"~", f.path(i)))
	}
	f.from.publish("files", f.dir)
	published := time.Now()
	second := f.whole(first.Current)
	took := time.Since(published)
	var pages int64
	for name, n := range f.pages() {
		if had[name] == 0 {
			pages += n
		}
	}
	events, err := f.kept.MirrorLog(t.Context(), "files", 1)
	check(t, err)
	sent = f.sent() - sent
	t.Logf("%d of %d changed: there %.2fs after publish had returned, %.2fs after the mirror had heard of it; the publisher sent %d bytes: contents of %d, pages of %d; %s",
		changes, files, took.Seconds(), second.Trace.Complete.Sub(second.State.Seen).Seconds(), sent, changes*size, pages, events[0].Text)
	if want := fmt.Sprintf("%d changed, 0 deleted; %d contents to fetch, %d bytes", changes, changes, changes*size); !strings.Contains(events[0].Text, want) {
		t.Errorf("the log does not say %q", want)
	}
	// The page for browsers comes with each version, and there may be two: files younger than the publisher's patience are signed by a
	// second one. A twentieth may be asked for twice.
	page, err := os.Stat(filepath.Join(f.to.dir, "mirrors", "files", "index.html"))
	check(t, err)
	if least := int64(changes * size); second.Trace.Fetched != least || sent < least+pages || sent > (least+2*(pages+page.Size()))*21/20 {
		t.Errorf("%d bytes fetched, %d sent, want %d of contents, %d of pages, %d for browsers", second.Trace.Fetched, sent, least, pages, page.Size())
	}
	for _, i := range changed {
		rel, err := filepath.Rel(f.dir, f.path(i))
		check(t, err)
		same(t, filepath.Join(f.to.tree("files"), rel), f.path(i))
	}
	if timed() && took > 2*time.Second {
		t.Errorf("it took %.2fs, want < 2 s", took.Seconds())
	}
}

// idle counts the datagrams of looks that find nothing new. What else goes between two nodes at rest is a ping now and then, and, just
// after a sync, what is signed beside the folder: so the quietest of some rounds counts.
func (f *followed) idle() {
	f.t.Helper()
	const rounds, polls, others = 5, 20, 8
	least := int64(0)
	for range rounds {
		before := f.ns.traffic().read
		for range polls {
			r, err := f.kept.SyncMirror(f.t.Context(), "files", false)
			check(f.t, err)
			if r.Changed || r.Plan != nil {
				f.t.Fatalf("nothing is new, and: %+v", r)
			}
		}
		if n := f.ns.traffic().read - before; least == 0 || n < least {
			least = n
		}
	}
	f.t.Logf("%d idle polls: %d datagrams", polls, least)
	if least < 2*polls || least > 2*polls+others {
		f.t.Errorf("%d idle polls take %d datagrams, want one each way", polls, least)
	}
}

// TestMirrorManyFiles measures the memory of a mirror of many files, while it comes and at rest, and after a restart. The bar of
// 150 MiB is for SHARER_E2E_MIRROR_FILES=1000000.
func TestMirrorManyFiles(t *testing.T) {
	files := mirrorFiles(t, 5000)
	begun := time.Now()
	f := follow(t, files, func(i int) []byte { return fmt.Appendf(nil, "file %d\n", i) })
	t.Logf("files made, published, mirror added: %.1fs", time.Since(begun).Seconds())
	peak := f.to.memory()
	begun = time.Now()
	last := ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	l := f.look()
	for ; l.Current.Zero() || l.Doing != mirror.Idle; l = f.look() {
		if now := fmt.Sprintf("%s %d%%", l.Doing, 10*(10*l.Done/max(l.Total, 1))); now != last {
			t.Logf("%.0fs: %s; %d KiB anonymous at the mirror, %d at the publisher", time.Since(begun).Seconds(), now, statusOf(t, f.to.process, "RssAnon"), statusOf(t, f.from.process, "RssAnon"))
			last = now
		}
		if l.Failed != "" {
			t.Log(l.Failed)
		}
		<-tick.C
	}
	t.Logf("first sync of %d files in %.1fs, %s of CPU", l.Trace.Files, time.Since(begun).Seconds(), cpuOf(t, f.to.process))
	if l.Trace.Files != files {
		t.Errorf("%d files are carried, want %d", l.Trace.Files, files)
	}
	const bar = 150 * mib
	atMost(t, "a mirror while it comes", peak(), bar)

	f.from.stop()
	if code := f.to.stop(); code != 0 {
		t.Errorf("the mirror ends with %d", code)
	}
	begun = time.Now()
	f.to.start()
	peak = f.to.memory()
	t.Logf("started again: ready after %.1fs", time.Since(begun).Seconds())
	base := "http://" + strings.Replace(f.to.addr, ":4", ":5", 1) + "/mirror/files/"
	sums := strings.Count(run(t, append(f.ns.how().through, "curl", "-s", base+"SHA256SUMS")...), "\n")
	if sums != files {
		t.Errorf("SHA256SUMS has %d lines, want %d", sums, files)
	}
	i := files - 1
	if got := run(t, append(f.ns.how().through, "curl", "-s", base+fmt.Sprintf("d%03d/f%d", i/1000, i))...); got != fmt.Sprintf("file %d\n", i) {
		t.Errorf("served: %q", got)
	}
	<-time.After(5 * time.Second) // what a start leaves is given back
	t.Logf("at rest: %d KiB anonymous of %d KiB resident", statusOf(t, f.to.process, "RssAnon"), statusOf(t, f.to.process, "VmRSS"))
	atMost(t, "a mirror that was started again", peak(), bar)
	f.to.stop()
}
