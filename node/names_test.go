package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/internal/atomicfile"
	"sharer/internal/netsim"
	"sharer/seed"
	"sharer/wire"
)

// What is kept of names is there after a restart, and lines that were damaged are left out and said.
func TestNamesAreKept(t *testing.T) {
	w := netsim.New(1, netsim.Link{})
	defer w.Close()
	state := filepath.Join(t.TempDir(), "state")
	at := netip.MustParseAddrPort("192.0.2.1:24254")
	start := func() *Node {
		t.Helper()
		n, err := Start(Config{Conn: w.Host(at), StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := start()
	first, err := n.Publish(t.Context(), "a", chunk.Sums{SHA256: chunk.Hash{1}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.Publish(t.Context(), "a", chunk.Sums{SHA256: chunk.Hash{1}})
	if err != nil || again.Seq != first.Seq {
		t.Errorf("the same content has number %d after %d, %v", again.Seq, first.Seq, err)
	}
	next, err := n.Publish(t.Context(), "a", chunk.Sums{SHA256: chunk.Hash{2}})
	if err != nil || next.Seq <= first.Seq {
		t.Errorf("a new content has number %d after %d, %v", next.Seq, first.Seq, err)
	}
	key := n.Key()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(state, "names.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("rubbish\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	n = start()
	defer n.Close()
	if n.Key() != key {
		t.Error("it is somebody else")
	}
	if r, err := n.Resolve(t.Context(), key, "a"); err != nil || r.Seq != next.Seq || r.SHA256 != next.SHA256 {
		t.Errorf("%+v, %v", r, err)
	}
	if len(n.Notes()) != 1 || !strings.HasPrefix(n.Notes()[0], "1 lines of ") {
		t.Errorf("notes: %q", n.Notes())
	}
	// What was replaced never comes back: the number of the next one is higher still.
	if r, err := n.Publish(t.Context(), "a", chunk.Sums{SHA256: chunk.Hash{1}}); err != nil || r.Seq <= next.Seq {
		t.Errorf("%d after %d, %v", r.Seq, next.Seq, err)
	}
}

// Two contents under one number are told with both signatures, once.
func TestConflictsAreTold(t *testing.T) {
	w := netsim.New(1, netsim.Link{})
	defer w.Close()
	var log bytes.Buffer
	n, err := Start(Config{Conn: w.Host(netip.MustParseAddrPort("192.0.2.1:24254")), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.KeyFromSeed([32]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.names.held.Want(key.Public(), "a"); err != nil {
		t.Fatal(err)
	}
	for _, sum := range []byte{1, 2, 2} {
		l, err := key.Publish("a", [32]byte{sum}, nil, 7)
		if err != nil {
			t.Fatal(err)
		}
		n.names.offer(l, wire.Sender{})
	}
	if n.Stats().Names.Conflicts != 2 {
		t.Errorf("%+v", n.Stats().Names)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	r, err := n.Resolve(ctx, key.Public(), "a")
	var conflict *identity.ConflictError
	if !errors.Is(err, ErrConflict) || !errors.As(err, &conflict) || r.SHA256 != [32]byte{1} {
		t.Errorf("%+v, %v", r, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Count(text, "two contents under one number") != 1 || strings.Count(text, "payload_json") != 2 {
		t.Errorf("told: %s", text)
	}
}

// What could not be kept is not taken for published the next time.
func TestPublishThatCannotBeKept(t *testing.T) {
	w := netsim.New(1, netsim.Link{})
	defer w.Close()
	state := filepath.Join(t.TempDir(), "state")
	n, err := Start(Config{Conn: w.Host(netip.MustParseAddrPort("192.0.2.1:24254")), StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	file := filepath.Join(state, "names.jsonl")
	if err := os.Mkdir(file+atomicfile.Suffix, 0o700); err != nil { // the file cannot be written
		t.Fatal(err)
	}
	for range 2 {
		if r, err := n.Publish(t.Context(), "a", chunk.Sums{SHA256: chunk.Hash{1}}); err == nil {
			t.Fatalf("%d is published, and nowhere kept", r.Seq)
		}
	}
	if err := os.Remove(file + atomicfile.Suffix); err != nil {
		t.Fatal(err)
	}
	r, err := n.Publish(t.Context(), "a", chunk.Sums{SHA256: chunk.Hash{1}})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte(`Latest`)) {
		t.Errorf("%d is published: %s, %v", r.Seq, text, err)
	}
}

// Who seeds the folder that the state folder lies in does not share the secret key.
func TestStateIsNotSeeded(t *testing.T) {
	w := netsim.New(1, netsim.Link{})
	defer w.Close()
	dir := t.TempDir()
	n, err := Start(Config{Conn: w.Host(netip.MustParseAddrPort("192.0.2.1:24254")), StateDir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := n.Seed(t.Context(), seed.Options{Paths: []string{dir}}, nil)
	if err != nil || report.Files != 1 || report.Skips[seed.Private] != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
