package mirror

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/identity"
)

// office is what mirrors of one folder hear of each other: what each has signed last, and when. It knows nothing that was not
// signed.
type office struct {
	t       *testing.T
	from    *swarm // the publisher
	closed  bool   // it has left
	members []*member
}

// member is a whole mirror: a set with a store, a tree, and a loop of its own.
type member struct {
	*Set
	in     *office
	key    identity.PublicKey
	left   bool
	heard  bool
	said   *Status
	at     time.Time
	took   int // contents that it has fetched
	mirror *Mirror
}

// Contents gives what the publisher, or another that is there, has.
func (m *member) Contents(ctx context.Context, o Order, done func(folder.File, error)) error {
	for _, f := range o.Files {
		there := !m.in.closed
		for _, other := range m.in.members {
			there = there || !other.left && other != m && other.cfg.Blobs.Has(f.BLAKE3)
		}
		err := errors.New("nobody has it")
		if there {
			m.in.from.mu.Lock()
			text := m.in.from.contents[f.BLAKE3]
			m.in.from.mu.Unlock()
			m.took++
			err = os.WriteFile(filepath.Join(o.Dir, f.Path), []byte(text), 0o600)
		}
		done(f, err)
	}
	return ctx.Err()
}

func (m *member) Page(ctx context.Context, blake3, sha chunk.Hash) ([]byte, error) {
	return m.in.from.Page(ctx, blake3, sha)
}

// join lets another mirror begin, which knows the whole list of the publisher.
func (o *office) join(dir string, keys []identity.PublicKey, own int) {
	o.t.Helper()
	m := &member{in: o, key: keys[own]}
	blobs, err := OpenBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		o.t.Fatal(err)
	}
	shelf := newSwarm(o.t)
	m.Set, _, err = OpenSet(Config{
		Dir: filepath.Join(dir, "mirrors"), Blobs: blobs, Fetcher: m, Names: o.from, Shelf: shelf, Self: m.key, Listens: true,
		Disk: func(string) (Disk, error) { return wide(), nil },
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(m.Close)
	spec := Spec{Name: "m", Key: o.from.key, Path: "isos/folder.json", Dir: filepath.Join(dir, "tree"), Rules: DefaultRules()}
	spec.Rules.Copies, spec.Rules.Grace, spec.Rules.Keep, spec.Rules.Every = 5, 0, 1, time.Hour
	for _, k := range keys {
		spec.Group = append(spec.Group, k.String())
	}
	o.members = append(o.members, m)
	if err := m.Add(spec); err != nil {
		o.t.Fatal(err)
	}
	if m.mirror, err = m.Find("m"); err != nil {
		o.t.Fatal(err)
	}
}

// pass lets minutes go by: each mirror that is there signs every ten, and hears the others every five, as a daemon does.
func (o *office) pass(minutes int) {
	for range minutes {
		now := int(time.Now().Unix() / 60)
		for i, m := range o.members {
			if s := m.Status(); !m.left && (m.said == nil || (now+i)%10 == 0 || m.said.Mirrors[0].ID != s.Mirrors[0].ID) {
				m.said, m.at = &s, time.Now()
			}
		}
		for i, m := range o.members {
			if m.left || (now+i)%5 != 0 && m.heard {
				continue
			}
			m.heard = true
			for _, k := range m.Group() {
				for _, other := range o.members {
					if other.key == k && other.said != nil {
						m.Heard(k, other.at)
						m.Claims(k, *other.said)
					}
				}
				m.Asked(k)
			}
			if m.GroupChanged() {
				m.Reconsider()
			}
		}
		<-time.After(time.Minute)
		synctest.Wait()
	}
}

// spread is how many of those that are there carry each file, how many each carries, and the least copies.
func (o *office) spread(paths map[string]string) (copies map[int]int, least int, mean, most float64) {
	o.t.Helper()
	copies, least = map[int]int{}, len(o.members)
	loads := map[*member]int{}
	for path := range paths {
		n := 0
		for _, m := range o.members {
			if m.left {
				continue
			}
			if _, err := os.Lstat(filepath.Join(m.mirror.Look().Spec.Dir, currentName, path)); err == nil {
				n++
				loads[m]++
			}
		}
		copies[n]++
		least = min(least, n)
		mean += float64(n)
	}
	there := 0
	for _, m := range o.members {
		if !m.left {
			there++
			most = max(most, float64(loads[m]))
		}
	}
	return copies, least, mean / float64(there), most
}

var fifty = flag.Bool("mirror.fifty", false, "run TestWholeMirrors with fifty mirrors, and hold it to the bar of the largest load")

// TestWholeMirrors is the bar of sharing, with whole mirrors that know of each other what was signed, and no more: they join in
// waves, with five copies, a fifth leaves at once and the publisher too.
func TestWholeMirrors(t *testing.T) {
	mirrors, files := 20, 50
	if *fifty {
		mirrors, files = 50, 200
	}
	synctest.Test(t, func(t *testing.T) {
		wave := mirrors / 2
		var keys []identity.PublicKey
		for i := range mirrors {
			k, err := identity.KeyFromSeed([32]byte{5, byte(i)})
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k.Public())
		}
		o := &office{t: t, from: newSwarm(t)}
		paths := texts(files-1, "one")
		o.from.publish(1, paths)
		dir := t.TempDir()
		for i := range mirrors {
			o.join(filepath.Join(dir, fmt.Sprint(i)), keys, i)
			if i%wave == wave-1 {
				o.pass(12)
			}
		}
		o.pass(12)
		copies, _, mean, most := o.spread(paths)
		t.Logf("%d mirrors, %d files: copies %v, the largest load %.2f of the mean", mirrors, files, copies, most/mean)
		if copies[5] != files || *fifty && most > 1.6*mean {
			t.Errorf("copies are %v, want 5 of each; the largest load is %.2f of the mean, want 1.6", copies, most/mean)
		}
		last := o.members[mirrors-1].took
		if t.Logf("the last one has fetched %d contents", last); last > files/2 {
			t.Errorf("one that came last has fetched %d contents of %d, and carries %.0f", last, files, mean)
		}

		o.closed = true
		for _, m := range o.members[5 : 5+mirrors/5] {
			m.left = true
			m.Close()
		}
		copies, least, _, _ := o.spread(paths)
		t.Logf("a fifth left at once, and the publisher: copies %v, the least %d (of ten of fifty, 4.8 %% have fewer than 3 by chance)", copies, least)
		if few := copies[0] + copies[1] + copies[2]; few > files/8 || copies[0] > 0 {
			t.Errorf("copies are %v", copies)
		}
		left := time.Now()
		for least < 5 && time.Since(left) < time.Hour {
			o.pass(5)
			copies, least, mean, most = o.spread(paths)
		}
		took := time.Since(left)
		t.Logf("%s later: copies %v, the largest load %.2f of the mean", took, copies, most/mean)
		// Who has signed nothing for 25 minutes has left, which the rest see within the five of one look, and sync.
		if least < 5 || took > aliveFor+10*time.Minute || *fifty && most > 1.6*mean {
			t.Errorf("after %s copies are %v, the largest load %.2f of the mean", took, copies, most/mean)
		}
		o.pass(12)
		if copies, _, _, _ = o.spread(paths); copies[5] != files {
			t.Errorf("at rest copies are %v", copies)
		}
	})
}
