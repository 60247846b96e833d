package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/mirror"
	"sharer/node"
)

// TestHeardWhenRead: another mirror takes its share over when it is known what it carries, not while its status is being read.
func TestHeardWhenRead(t *testing.T) {
	s := newThief(t)
	status, err := json.Marshal(mirror.Status{V: 1, Key: s.n.Key()})
	if err != nil {
		t.Fatal(err)
	}
	sums, err := chunk.Sum(t.Context(), bytes.NewReader(status), int64(len(status)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.n.Publish(t.Context(), mirror.StatusName, sums); err != nil {
		t.Fatal(err)
	}
	reads := asks(s, sums.BLAKE3)
	d := open(t, t.TempDir(), true)
	if err := d.AddPeers([]netip.AddrPort{s.n.Addrs()[0]}); err != nil {
		t.Fatal(err)
	}
	rules := mirror.DefaultRules()
	rules.Every, rules.Copies = time.Hour, 1
	spec := mirror.Spec{Name: "m", Key: s.n.Key(), Path: "isos", Rules: rules, Group: []string{s.n.Key().String()}}
	if _, err := d.AddMirror(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	<-reads
	if d.mirrors.GroupChanged() {
		t.Error("it counts already")
	}
}

// TestAddedAfterHeard: what another mirror says of a folder is known of a mirror of that too which is added when it was read already.
func TestAddedAfterHeard(t *testing.T) {
	s := newThief(t)
	rules := mirror.DefaultRules()
	rules.Every, rules.Copies = time.Hour, 1
	spec := func(name string) mirror.Spec {
		return mirror.Spec{Name: name, Key: s.n.Key(), Path: name, Rules: rules, Group: []string{s.n.Key().String()}}
	}
	status := mirror.Status{V: 1, Key: s.n.Key()}
	for _, name := range []string{"one", "two"} {
		of := spec(name)
		status.Mirrors = append(status.Mirrors, mirror.StatusOf{Name: name, Link: of.Link(), ID: "folder/" + chunk.Hash{1}.String(), Files: 1})
	}
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.n.Publish(t.Context(), mirror.StatusName, s.offer(text)); err != nil {
		t.Fatal(err)
	}
	d := open(t, t.TempDir(), true)
	if err := d.AddPeers([]netip.AddrPort{s.n.Addrs()[0]}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, name := range []string{"one", "two"} {
		if _, err := d.AddMirror(t.Context(), spec(name)); err != nil {
			t.Fatal(err)
		}
		for silent := 1; silent > 0; runtime.Gosched() {
			c, err := d.MirrorCopies(ctx, name, 0)
			if silent = c.Silent; err != nil || ctx.Err() != nil {
				t.Fatalf("of %s: %+v, %v", name, c, err)
			}
		}
	}
}

// TestNewerWhileSubscribed: of a deny list whose next version comes while the first one is fetched the next one is fetched too, and not
// at the next look at all lists.
func TestNewerWhileSubscribed(t *testing.T) {
	s := newThief(t)
	lines := func(n byte) []byte { return []byte(chunk.ID{Kind: chunk.BLAKE3, Hash: chunk.Hash{n}}.String() + "\n") }
	sums, err := chunk.Sum(t.Context(), bytes.NewReader(lines(1)), int64(len(lines(1))), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.n.Publish(t.Context(), "list", sums); err != nil {
		t.Fatal(err)
	}
	fetches := asks(s, sums.BLAKE3)
	d := open(t, t.TempDir(), false) // nobody follows the lists but the test
	d.denyDue = make(chan struct{}, 1)
	if err := d.AddPeers([]netip.AddrPort{s.n.Addrs()[0]}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- d.SubscribeDeny(t.Context(), s.n.Key(), "list") }()
	<-fetches
	second, err := s.n.Publish(t.Context(), "list", s.offer(lines(2)))
	if err != nil {
		t.Fatal(err)
	}
	for !slices.ContainsFunc(d.Records(), func(r identity.Record) bool { return r.Key == s.n.Key() && r.Seq == second.Seq }) {
		runtime.Gosched()
	}
	s.offer(lines(1))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(d.denyDue) == 0 {
		t.Errorf("number %d is there, %d was told, and nobody looks", d.subscribed()[0].Seq, second.Seq)
	}
}

// asks returns a channel that is closed when somebody asks a thief for a content.
func asks(s *thief, h chunk.Hash) <-chan struct{} {
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	s.t.Cleanup(s.n.Observe(func(a node.Arrival) {
		if bytes.Contains(a.Messages, []byte("PleaseSendContent")) && bytes.Contains(a.Messages, []byte(h.String())) {
			once()
		}
	}))
	return asked
}
