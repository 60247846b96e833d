package daemon

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sharer/chunk"
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
	reads := make(chan struct{})
	once := sync.OnceFunc(func() { close(reads) })
	defer s.n.Observe(func(a node.Arrival) {
		if bytes.Contains(a.Messages, []byte("PleaseSendContent")) && bytes.Contains(a.Messages, []byte(sums.BLAKE3.String())) {
			once()
		}
	})()
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
