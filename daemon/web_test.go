package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/gateway"
	"sharer/identity"
	"sharer/node"
	"sharer/store"
)

// What the node says is said in the gateway's words, and no less is told.
func TestErrorsForTheWeb(t *testing.T) {
	for err, want := range map[error]error{
		&node.NotFoundError{}: gateway.ErrNotFound, &node.NameError{}: gateway.ErrNotFound, node.ErrStalled: gateway.ErrNotFound, node.ErrNotHeld: gateway.ErrNotHeld,
		node.ErrDenied: gateway.ErrDenied, node.ErrIntegrity: gateway.ErrIntegrity, store.ErrQuota: gateway.ErrQuota, store.ErrDiskFull: gateway.ErrDiskFull,
		syscall.ENOSPC: gateway.ErrDiskFull, store.ErrNotFound: gateway.ErrNotHeld,
	} {
		wrapped := fmt.Errorf("reading: %w", err)
		if got := forWeb(wrapped); !errors.Is(got, want) || !errors.Is(got, err) || got.Error() != wrapped.Error() {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := errors.New("another"); forWeb(err) != err || forWeb(nil) != nil {
		t.Error("what has no word of its own was changed")
	}
}

// A name is a content, or a folder and what is in it.
func TestNamesForTheWeb(t *testing.T) {
	b := [32]byte{1}
	r := identity.Record{SHA256: [32]byte{2}, BLAKE3: &b}
	if n := namedBy(r, false, "x"); n.ID != (chunk.ID{Kind: chunk.BLAKE3, Hash: b}) || n.Also.Kind != chunk.SHA256 || n.Folder || n.Path != "" {
		t.Errorf("%+v", n)
	}
	if n := namedBy(r, true, "a/b/"); !n.Folder || n.Path != "a/b" {
		t.Errorf("%+v", n)
	}
	r.BLAKE3 = nil
	if n := namedBy(r, false, ""); n.ID != (chunk.ID{Kind: chunk.SHA256, Hash: [32]byte{2}}) || n.Also.Valid() {
		t.Errorf("%+v", n)
	}
}

func TestArrivalsForTheWeb(t *testing.T) {
	if a := arrivalOf(node.Incoming{Err: errors.New("no luck")}); a.State != "failed: no luck" || a.Total != -1 {
		t.Errorf("%+v", a)
	}
	if a := arrivalOf(node.Incoming{}); a.State != string(node.LookingForPeers) {
		t.Errorf("%+v", a)
	}
}

// What can be no name, or no key, is said to be that.
func TestNoNamesForTheWeb(t *testing.T) {
	d := open(t, t.TempDir(), true)
	s := &names{n: d.Node}
	bad := [32]byte{}
	for i := range bad {
		bad[i] = 0xff
	}
	for _, c := range []struct {
		key  [32]byte
		name string
	}{{d.Key(), "../x"}, {d.Key(), "a\xff"}, {d.Key(), "/"}, {bad, "x"}} {
		if _, err := s.Resolve(t.Context(), c.key, c.name, time.Second, false); !errors.Is(err, gateway.ErrBadName) {
			t.Errorf("%q: %v", c.name, err)
		}
	}
}

// Permissions that cannot be read allow nothing, and do not keep the daemon from starting.
func TestDamagedGrants(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pages.json")
	if err := os.WriteFile(path, []byte(`[{"key":"https://example.org"`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, t.TempDir(), true)
	before := len(d.notes)
	grants, err := d.loadGrants(path)
	if err != nil || grants.Allows("https://example.org") || len(d.notes) != before+1 {
		t.Fatalf("%v, notes %q", err, d.notes)
	}
	if err := grants.Allow("https://example.net", ""); err != nil {
		t.Fatal(err)
	}
	if again, err := d.loadGrants(path); err != nil || !again.Allows("https://example.net") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path + ".bad"); err != nil {
		t.Error(err)
	}
}
