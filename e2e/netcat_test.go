//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const askPeers = `[{"PleaseSendPeers":{}}]`

// netcat sends one datagram and returns what came back within a second.
func netcat(t *testing.T, h how, addr, text string, flags ...string) []byte {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	check(t, err)
	args := append(append(append([]string(nil), h.through...), "nc", "-u", "-w1"), append(flags, host, port)...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	check(t, err)
	return out
}

// message returns the payload of the first element of that name; nil if there is none.
func message(t *testing.T, datagram []byte, name string) json.RawMessage {
	t.Helper()
	var elements []map[string]json.RawMessage
	// Only the first: nc writes what it gets without anything between.
	if err := json.NewDecoder(bytes.NewReader(datagram)).Decode(&elements); err != nil {
		t.Fatalf("not an array of messages: %v: %q", err, datagram)
	}
	for _, e := range elements {
		if payload, ok := e[name]; ok {
			return payload
		}
	}
	return nil
}

// peersIn returns the peers of an answer; ok is false if it has no Peers.
func peersIn(t *testing.T, datagram []byte) (peers []string, ok bool) {
	t.Helper()
	payload := message(t, datagram, "Peers")
	if payload == nil {
		return nil, false
	}
	var m struct {
		Peers []string `json:"peers"`
	}
	check(t, json.Unmarshal(payload, &m))
	return m.Peers, m.Peers != nil
}

// TestNetcat asks as a person does who reads the quick start.
func TestNetcat(t *testing.T) {
	needs(t, "nc")
	path := filepath.Join(folder(t), "small")
	generate(t, path, 1000, 2)
	_, addr := seeding(t, how{}, "127.0.0.1:0", path)
	if out := netcat(t, how{}, addr, askPeers); len(out) == 0 {
		t.Fatal("no answer")
	} else if _, ok := peersIn(t, out); !ok {
		t.Fatalf("no Peers array in %s", out)
	} else {
		t.Logf("%s", out)
	}
}

// TestNetcatUnproven asks from another address: twice the bytes that came in go out at most,
// headers counted, and a cookie among them; who returns the cookie is told peers.
func TestNetcatUnproven(t *testing.T) {
	needs(t, "nc", "ip")
	home, away := wire(t)
	path := filepath.Join(folder(t), "small")
	generate(t, path, 100_000, 2)
	seed, addr := seeding(t, home.how(), "10.77.0.1:0", path)
	_, _ = seeding(t, home.how(), "10.77.0.1:0", path, "--peer", addr) // somebody to tell of
	ids := seed.file(path)
	for _, question := range []string{
		askPeers,
		`[{"PleaseSendPeers":{}},{"PleaseListContent":{}},{"PleaseReturnThisMessage":{"sent_at":12.5}}]`,
		fmt.Sprintf(`[{"PleaseSendContent":{"id":"%s","offset":0,"length":4096}}]`, ids.SHA256),
		fmt.Sprintf(`[{"PleaseSendContent":{"id":"blake3/%s","offset":4096,"length":40960}}]`, ids.BLAKE3),
		fmt.Sprintf(`[{"PleaseSendPeers":{}}%s]`, strings.Repeat(" ", 1000)),
		`[]`, `[{"AlwaysReturned":{"cookie":"00000000"}}]`, `nonsense`,
	} {
		in, out := away.octets()
		answer := netcat(t, away.how(), addr, question)
		inAfter, outAfter := away.octets()
		in, out = inAfter-in, outAfter-out
		t.Logf("%d bytes of IP asked, %d answered: %.60s", out, in, answer)
		if in > 2*out {
			t.Errorf("%.60s: %d bytes went to an unproven address for %d that came", question, in, out)
		}
		if want := strings.Contains(question, "Please"); want != (len(answer) > 0) {
			t.Errorf("%.60s: answered by %q", question, answer)
		} else if want && message(t, answer, "PleaseAlwaysReturnThisMessage") == nil {
			t.Errorf("%.60s: no cookie in %s", question, answer)
		}
	}

	// The cookie belongs to address and port: nc keeps its port by -p.
	cookie := message(t, netcat(t, away.how(), addr, askPeers, "-p", "4321"), "PleaseAlwaysReturnThisMessage")
	proof := fmt.Sprintf(`[{"PleaseSendPeers":{}},{"AlwaysReturned":%s}]`, cookie)
	if out := netcat(t, away.how(), addr, proof, "-p", "4321"); len(out) == 0 {
		t.Error("no answer to who returned the cookie")
	} else if peers, ok := peersIn(t, out); !ok || len(peers) == 0 {
		t.Errorf("no peers for who returned the cookie: %s", out)
	} else {
		t.Logf("with the cookie: %s", out)
	}
	if out := netcat(t, away.how(), addr, proof, "-p", "4322"); len(out) > 2*(len(proof)+28)-28 {
		t.Errorf("a cookie made for another port is believed: %s", out)
	}
}
