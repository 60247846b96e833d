//go:build linux

package interop

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// board is the table: rows are what is tried, columns under what circumstances.
type board struct {
	mu   sync.Mutex
	rows []string
	cols map[string][]string
	said map[[2]string]verdict
}

type verdict struct {
	word, reason string // word: "ok", "RED", "skip", "theirs"
}

var table = board{cols: map[string][]string{}, said: map[[2]string]verdict{}}

// theirs is an error for what cannot work because of the other program, whatever we do; the reason says why. Its
// cell is no failure.
type theirs string

func (e theirs) Error() string { return string(e) }

// skipped is an error for what this machine or this run has no means for.
type skipped string

func (e skipped) Error() string { return string(e) }

// cell runs one cell as a subtest. What f returns is its reason; note is shown where it works.
func cell(t *testing.T, row, col string, f func(t *testing.T) (note string, err error)) {
	t.Helper()
	t.Run(row+"/"+col, func(t *testing.T) {
		v := verdict{"RED", "the test ended before it was known"}
		defer func() { table.put(row, col, v) }()
		note, err := f(t)
		switch e := err.(type) {
		case nil:
			v = verdict{"ok", note}
		case theirs:
			v = verdict{"theirs", string(e)}
		case skipped:
			v = verdict{"skip", string(e)}
			t.Skipf("skipped: %s", string(e))
		default:
			v = verdict{"RED", err.Error()}
			t.Error(err)
		}
	})
}

func (b *board) put(row, col string, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.rows, row) {
		b.rows = append(b.rows, row)
	}
	if !slices.Contains(b.cols[row], col) {
		b.cols[row] = append(b.cols[row], col)
	}
	b.said[[2]string{row, col}] = v
}

// print writes the table: one line a row when all its cells are well and have nothing to say, else one a cell.
func (b *board) print(w *os.File) {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := map[string]int{}
	fmt.Fprintln(w, "\n| what | with | result |\n|---|---|---|")
	for _, row := range b.rows {
		var plain []string
		for _, col := range b.cols[row] {
			v := b.said[[2]string{row, col}]
			count[v.word]++
			if v.word == "ok" && v.reason == "" {
				plain = append(plain, col)
			}
		}
		if len(plain) > 0 {
			fmt.Fprintf(w, "| %s | %s | ok |\n", row, strings.Join(plain, ", "))
		}
		for _, col := range b.cols[row] {
			if v := b.said[[2]string{row, col}]; v.reason != "" {
				fmt.Fprintf(w, "| %s | %s | %s: %s |\n", row, col, v.word, strings.ReplaceAll(v.reason, "\n", " "))
			}
		}
	}
	fmt.Fprintf(w, "\ncells: %d ok, %d red, %d theirs, %d skipped\n", count["ok"], count["RED"], count["theirs"], count["skip"])
}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(table.rows) > 0 {
		table.print(os.Stdout)
	}
	if dir, err := workDir(); asked() && err == nil && os.Getenv("SHARER_INTEROP_KEEP") == "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// asked says whether this run was asked for.
func asked() bool { return os.Getenv("SHARER_INTEROP") == "1" }

// program is the path of another program, or why there is none.
func program(variable string) (path string, err error) {
	path = os.Getenv(variable)
	if path == "" {
		return "", skipped(variable + " names no program")
	}
	if _, err := os.Stat(path); err != nil {
		return "", skipped(err.Error())
	}
	return path, nil
}
