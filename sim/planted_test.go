package sim

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var plantedFlag = flag.Bool("sim.planted", false, "run TestPlanted: plant a fault for each checker, and see it caught")

// planted are faults of the node, one or more for each checker: a fragment of the source that stands there once, what it is replaced with, the
// tests that must fail then, and what they must say.
var planted = []struct {
	name, file, was, is, run string
	says                     Rule
}{
	{"a bad block is accepted", "chunk/partial_write.go", "for _, i := range bad {", "for _, i := range bad[:0] {", "TestOneHonestPeerSuffices", C1},
	{"a sha256 whole is not compared", "chunk/partial_end.go", "case found.SHA256 != p.id.Hash:", "case false:", "TestOneHonestPeerSuffices", C1},
	{"drops are not counted", "swarm/stats.go", "{ g.counts.dropped[r].Add(1) }", "{ g.counts.dropped[r].Add(0) }", "TestRow/A13", C2},
	{"the budget of strangers is off by one", "swarm/gate.go", "replyRatio*(size+wire.HeaderBytes) - wire.HeaderBytes", "replyRatio*(size+wire.HeaderBytes) - wire.HeaderBytes + 1", "TestForged", C3},
	{"a table is uncapped", "swarm/holders.go", "if h.lru.Len() >= MaxIDs {", "if h.lru.Len() >= 2*MaxIDs {", "TestRow/A18", C4},
	{"a goroutine is left", "node/node.go", "n.wg.Go(func() { n.uploads.Run(n.ctx) })", "n.wg.Go(func() { n.uploads.Run(n.ctx) })\n\tgo func() { select {} }()", "TestSizesByAllKindsOfID", C5},
	{"the window is ignored", "transfer/dealing.go", "s.flights.live > 0 && s.flights.bytes+cost > window", "s.flights.live > 0 && s.flights.bytes+cost > 4*s.control.window()", "TestRow/N8|TestLossSlows", C6},
	{"the limit is ignored", "transfer/limit.go", "short := min(float64(n), limitCap) - b.tokens()", "short := min(float64(n), limitCap) - b.tokens() - limitCap", "TestLimitsHold", C7},
}

// TestPlanted builds this package with one fault after the other by the go command's overlay, and wants the checker to find each.
// That the fragments still stand in the source is checked in every run.
func TestPlanted(t *testing.T) {
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join("..", p.file))
			if err != nil {
				t.Fatal(err)
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), p.was); n != 1 {
				t.Fatalf("%s holds %q %d times, want once: plant it anew", p.file, p.was, n)
			}
			if !*plantedFlag {
				return
			}
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
			replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, changed, []byte(strings.Replace(string(source), p.was, p.is, 1)))
			write(t, overlay, replaced)
			out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-vet=off", "-overlay", overlay, "-run", p.run, ".").CombinedOutput()
			if err == nil {
				t.Fatalf("%s pass", p.run)
			}
			if !strings.Contains(string(out), string(p.says)) {
				t.Fatalf("%s fail, and not by %q:\n%s", p.run, p.says, out[:min(len(out), 4000)])
			}
			t.Logf("%s: found by %s", p.name, p.says)
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
