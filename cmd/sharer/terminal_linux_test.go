package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// ptyScreen is a pseudo-terminal and what a person would see on it.
type ptyScreen struct {
	ours    *os.File
	changed chan struct{} // something was printed
	ended   chan struct{} // nobody has the other end any more

	mu       sync.Mutex
	lines    [][]rune
	row, col int
	rest     string // of what was read: the begin of a command or a letter
}

// runOnTerminal starts a program with a terminal for its three streams, which is the one that it is interrupted from.
func runOnTerminal(t *testing.T, cmd *exec.Cmd, columns uint16) *ptyScreen {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("skipped: no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	// Otherwise Ctrl-C drops what is on its way to the screen, after the program has been told: on a busy machine that is its last words.
	mode, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	mode.Lflag |= unix.NOFLSH
	if err := unix.IoctlSetTermios(int(theirs.Fd()), unix.TCSETS, mode); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &ptyScreen{ours: ours, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() { // it ends when the program has, which the test waits for
		defer close(m.ended)
		buf := make([]byte, 32<<10)
		for {
			n, err := ours.Read(buf)
			m.print(string(buf[:n]))
			select {
			case m.changed <- struct{}{}:
			default:
			}
			if err != nil { // EIO: the last one has closed it
				return
			}
		}
	}()
	return m
}

var controlSequence = regexp.MustCompile(`^\x1b\[([0-9;?]*)([A-Za-z])`)

// print does what terminals do with the few commands that are used here.
func (m *ptyScreen) print(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text = m.rest + text
	for m.rest = ""; text != ""; {
		if c := controlSequence.FindStringSubmatch(text); c != nil {
			text = text[len(c[0]):]
			n, _ := strconv.Atoi(c[1])
			switch c[2] {
			case "A":
				m.row = max(0, m.row-max(1, n))
			case "J":
				m.cut()
				m.lines = m.lines[:min(len(m.lines), m.row+1)]
			case "K":
				if n == 2 {
					m.col = 0
				}
				m.cut()
			}
			continue
		}
		if !utf8.FullRuneInString(text) || text[0] == '\x1b' && len(text) < 16 {
			m.rest = text
			return
		}
		r, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		switch r {
		case '\r':
			m.col = 0
		case '\n':
			m.row++
		default:
			for len(m.lines) <= m.row {
				m.lines = append(m.lines, nil)
			}
			for len(m.lines[m.row]) <= m.col {
				m.lines[m.row] = append(m.lines[m.row], ' ')
			}
			m.lines[m.row][m.col] = r
			m.col++
		}
	}
}

// cut erases to the end of the line.
func (m *ptyScreen) cut() {
	if m.row < len(m.lines) {
		m.lines[m.row] = m.lines[m.row][:min(len(m.lines[m.row]), m.col)]
	}
}

// screen is what stands there.
func (m *ptyScreen) screen() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, l := range m.lines {
		fmt.Fprintln(&b, strings.TrimRight(string(l), " "))
	}
	return b.String()
}

// await returns what stands there once it matches.
func (m *ptyScreen) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		if s := m.screen(); re.MatchString(s) {
			return s
		}
		select {
		case <-m.changed:
		case <-m.ended:
			if s := m.screen(); !re.MatchString(s) {
				t.Fatalf("ended without %s:\n%s", pattern, s)
			}
		case <-late:
			t.Fatalf("nothing that matches %s:\n%s", pattern, m.screen())
		}
	}
}

// TestTerminal: the real program on a terminal shows a row for each file and a total, Ctrl-C ends it with 130 and the line to go
// on with, and nothing of the rows stays; the same line goes on. With -update what was seen is written to docs/progress.txt.
func TestTerminal(t *testing.T) {
	dir := t.TempDir()
	env := append(os.Environ(), "SHARER_ISOLATED=true", "SHARER_LISTEN=127.0.0.1:0", "SHARER_HTTP=off", "SHARER_DAEMON=never", "SHARER_MIN_FREE=0",
		"SHARER_STATE_DIR=", "XDG_STATE_HOME="+filepath.Join(dir, "state"), "TERM=xterm")
	var paths []string
	for i, name := range []string{"film.mkv", "notes.tar", "photos.zip"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat(name, (i+1)<<16)), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	rate := "--bwlimit=100K:off" // so slow that it is interrupted in the middle
	if *update {
		rate = "--bwlimit=400K:off" // for a picture of a usual download
	}
	seed := exec.Command("sharer", append([]string{"seed", rate, "--state-dir", filepath.Join(dir, "seed")}, paths...)...)
	seed.Env = env
	s := runOnTerminal(t, seed, 200)
	t.Cleanup(func() { seed.Process.Kill(); seed.Wait(); <-s.ended })
	shown := s.await(t, `on 127\.0\.0\.1:\d+`)
	links := regexp.MustCompile(`(?m)^lcdp://\S+`).FindAllString(shown, -1)
	if len(links) != 3 {
		t.Fatalf("links: %q", shown)
	}
	addr := regexp.MustCompile(`on (127\.0\.0\.1:\d+)`).FindStringSubmatch(shown)[1]

	get := exec.Command("sharer", append([]string{"get", "--peer", addr}, links...)...)
	get.Env = env
	get.Dir = t.TempDir()
	m := runOnTerminal(t, get, 80)
	rows := `(?m)(^(film\.mkv|notes\.tar|photos\.zip)  .*\n){3}total  0 of 3 files  .*[1-9]`
	if *update {
		rows = `(?m)(^(film\.mkv|notes\.tar|photos\.zip)  .*ETA.*\n){3}total  0 of 3 files.*[1-9]\d*% .*ETA`
	}
	capture := m.await(t, rows)
	if *update {
		text := "$ sharer get LINK LINK LINK\n" + capture
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "progress.txt"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("\n%s", capture)
	if _, err := io.WriteString(m.ours, "\x03"); err != nil {
		t.Fatal(err)
	}
	err := get.Wait()
	<-m.ended
	left := m.screen()
	if get.ProcessState.ExitCode() != 130 {
		t.Errorf("interrupted: %v\n%s", err, left)
	}
	if !strings.Contains(strings.ReplaceAll(left, "\n", ""), "go on with: sharer get --peer "+addr) || regexp.MustCompile(`(?m)^(total|film\.mkv)  `).MatchString(left) {
		t.Errorf("what stays after Ctrl-C:\n%s", left)
	}
}
