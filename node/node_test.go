package node

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"sharer/internal/netsim"
)

// What whole nodes do to each other is tested in sim.

func TestStartThatFailsSaysSo(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	for range 2 { // the second time shows that the first let go of the state folder
		if _, err := Start(Config{Listen: []string{"no address"}, StateDir: state}); err == nil {
			t.Fatal("listening on no address worked")
		}
	}
}

// The names that a node reacts to, beside those that the gate reads itself. Who adds one adds it to the list in
// sim/forged_test.go as well, with questions that must not be amplified.
func TestMessagesThatAreHandled(t *testing.T) {
	w := netsim.New(1, netsim.Link{})
	defer w.Close()
	n, err := Start(Config{Conn: w.Host(netip.MustParseAddrPort("192.0.2.1:24254"))})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ChatMessage", "Content", "ContentList", "EncryptedMessages", "FastEncryptedMessages", "Forward", "Forwarded", "GetLatest", "GroupChatMessage", "IJustSawThis", "MaybeTheyHaveSome",
		"MyPublicKey", "Peers", "PleaseAlwaysReturnThisMessage", "PleaseListContent", "PleaseReturnThisMessage", "PleaseSendContent", "PleaseSendPeers",
		"ReturnedMessage", "SignedMessage", "WhereAreThey", "YouShouldSeeThis",
	}
	if got := n.mux.Names(); !slices.Equal(got, want) {
		t.Errorf("handled are %v, tested as forged %v", got, want)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
