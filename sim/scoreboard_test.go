package sim

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var board = flag.Bool("sim.board", false, "TestScoreboard: run every row and print a table; with -sim.long at full size")

// elsewhereRows are the rows that other packages test, and those without a test.
var elsewhereRows = []row{
	{id: "N15/gate", fault: "a peer whose address changes, at the gate", bar: "≤ 2 × its bytes before the new cookie", where: "test", elsewhere: "./swarm TestMoved"},
	{id: "N16/identity", fault: "IPv4, IPv4-mapped and zoned addresses at each entry point", bar: "one peer", where: "test", elsewhere: "./swarm Identity|Identities"},
	{id: "N21", fault: "jumps of the wall clock, ten minutes of suspension", bar: "no storm, nothing expires wrongly", where: "test", elsewhere: "./swarm Clock|Pause"},
	{id: "N22", fault: "errors of send", bar: "the node stays up, each failure is told", where: "test", elsewhere: "./swarm Fault|Failure|ShortWrites"},
	{id: "A1-A3", fault: "forged datagrams, cookies, loops of two nodes", bar: "≤ 2 × the bytes, no foreign cookie, ≤ 2 datagrams for one", where: "test", elsewhere: "./sim Forged|ForeignCookies"},
	{id: "A10", fault: "floods of peers, holders, strangers", bar: "caps of the table, 10 probes a second, 3 a day", where: "test", elsewhere: "./swarm TestFlood|TestSilent"},
	{id: "A11", fault: "eclipse", bar: "≥ 8 honest peers kept", where: "test", elsewhere: "./swarm TestEclipse"},
	{id: "A12", fault: "addresses that collide in a hash", bar: "spread as random ones", where: "test", elsewhere: "./swarm TestEchoSlots"},
	{id: "A13/parse", fault: "JSON bombs", bar: "1 ms a datagram (the list: 200 µs)", where: "test", elsewhere: "./wire TestBombs"},
	{id: "A20", fault: "descriptors exhausted", bar: "128 files and 32 trees open at most; with 48 descriptors all is served", where: "ci", elsewhere: "./e2e TestFewDescriptors"},
	{id: "D3", fault: "corrupt index", bar: "never a crash loop", where: "test", elsewhere: "./index Corrupt"},
	{id: "D5", fault: "k-th I/O error", bar: "no false complete", where: "test", elsewhere: "./chunk Fault"},
	{id: "D7", fault: "files that change while they are seeded", bar: "no byte that was written after hashing is sent", where: "test", elsewhere: "./sim TestFilesThatChange"},
}

// scored is a line of the scoreboard.
type scored struct {
	row
	figures, verdict string
	took             time.Duration
}

// TestScoreboard runs every row, here and elsewhere, one after the other, and prints one table. It fails if one misses its bar; a row
// without a test, or one that was skipped, is shown as such and is no pass.
//
//	go test ./sim -run TestScoreboard -sim.board -sim.long -v -timeout 0
func TestScoreboard(t *testing.T) {
	if !*board {
		t.Skip("runs with -sim.board")
	}
	var lines []scored
	for _, row := range concat(rows, elsewhereRows) {
		l := scored{row: row, verdict: "skip"}
		start := time.Now()
		ok := t.Run(row.id, func(t *testing.T) {
			switch {
			case row.run != nil:
				l.figures = strings.Join(runRow(t, row).figures, "; ")
			case row.elsewhere != "":
				l.figures = runElsewhere(t, row.elsewhere)
			default:
				t.Skip("no test")
			}
			l.verdict = "pass"
		})
		if !ok {
			l.verdict = "MISS"
		}
		l.took = time.Since(start)
		lines = append(lines, l)
	}
	t.Log("\n" + table(lines))
}

// runElsewhere runs "./package pattern" and returns what it said.
func runElsewhere(t *testing.T, what string) string {
	t.Helper()
	folder, names, _ := strings.Cut(what, " ")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", names, folder)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "SHARER_E2E=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
	if strings.Contains(string(out), "no tests to run") {
		t.Errorf("%s has no test of that name", what)
	}
	return "go test " + folder + " -run " + names
}

// table is in Markdown.
func table(lines []scored) string {
	var b strings.Builder
	counts := map[string]int{}
	b.WriteString("| row | fault | bar | figure | | runs in | s |\n|---|---|---|---|---|---|---|\n")
	for _, l := range lines {
		counts[l.verdict]++
		cells := []string{l.id, l.fault, l.bar, l.figures, l.verdict, l.runsIn(), fmt.Sprintf("%.1f", l.took.Seconds())}
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", "/")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	sizes := "short sizes, the full ones with -sim.long"
	if *long {
		sizes = "full sizes"
	}
	worlds.mu.Lock()
	defer worlds.mu.Unlock()
	fmt.Fprintf(&b, "\n%d pass, %d miss, %d skipped (%s). In %d worlds: largest ratio of bytes out to bytes in without proof %.3f, bad bytes sent, kept or finished %d.\n",
		counts["pass"], counts["MISS"], counts["skip"], sizes, worlds.n, worlds.ratio, worlds.bad)
	return b.String()
}

func (r row) runsIn() string {
	folder, _, _ := strings.Cut(r.elsewhere, " ")
	switch {
	case r.elsewhere != "":
		return "go test " + folder
	case r.where == "test":
		return "go test ./sim, full: -sim.long"
	case r.where == "long":
		return "-sim.long"
	}
	return "nowhere"
}
