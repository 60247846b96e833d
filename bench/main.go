// Command bench measures sharer against other programs that move files: curl from nginx, and the same with a BLAKE3 pass behind
// it, which is what it takes to know that the bytes are right; aria2 by BitTorrent; rsync for a folder of small files. It prints
// ratios first, as machines differ and are noisy: only what ran in the same, interleaved run may be compared. rqbit, sendme and cjp2p-rust take part when
// their binaries are named. Other cases measure sharer alone: latency, memory, and what costs as work grows.
//
//	go run ./bench [-case one,mtu1500|others|alone|all] [-size 1G] [-runs 7] [-dir DIR] [-json FILE] [-svg FILE] [-rqbit FILE] [-sendme FILE] [-cjp2p FILE]
//
// Each program is measured as a whole, from its start to its end, with nothing kept from an earlier run, and each copy is compared with what
// it is a copy of. Cases that need network namespaces (root, Linux) are told to be missing where those are, and so are programs. Nothing
// leaves the machine. Nobody syncs: no program here does unless asked.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/zeebo/blake3"
)

type config struct {
	cases []scene
	alone []measurement
	runs  int
	size  int64  // of the one large file
	dir   string // where the files and their copies lie
	work  string // in dir, gone afterwards
	tools
	only *regexp.Regexp // programs that are not ours; nil: all
	json string         // files for the results and for a picture; empty: none
	svg  string
}

func main() {
	var c config
	names := flag.String("case", "one", "cases, some of "+strings.Join(known(), ",")+"; or others (with other programs), alone (of sharer alone), all")
	size := flag.String("size", "1G", "size of the file; cases of several clients or slow links take less")
	flag.IntVar(&c.runs, "runs", 7, "runs of each program")
	flag.StringVar(&c.dir, "dir", "", "folder for the files, best on a file system in memory (default: /dev/shm if it is there, else the system's temporary one)")
	flag.StringVar(&c.sharer, "sharer", "", "binary of sharer (default: built from this tree)")
	flag.StringVar(&c.json, "json", "", "file for the results as JSON")
	flag.StringVar(&c.svg, "svg", "", "file for a picture of the results")
	flag.StringVar(&c.rqbit, "rqbit", "", "binary of rqbit, to be compared with (all cases then run in a network namespace)")
	flag.StringVar(&c.sendme, "sendme", "", "the same of sendme, of iroh-blobs")
	flag.StringVar(&c.cjp2p, "cjp2p", "", "the same of kermit4/cjp2p-rust, another node of this swarm")
	flag.Func("only", "of the other programs, only those whose name this `expression` fits (default: all)", func(text string) (err error) {
		c.only, err = regexp.Compile(text)
		return err
	})
	tracker := flag.String("tracker", "", "only be a tracker of BitTorrent at this address: others need it")
	b3 := flag.String("b3", "", "only hash this file, or the files of this folder: a pass that others need")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	switch {
	case *b3 != "":
		err = hash(*b3)
	case *tracker != "":
		err = track(ctx, *tracker)
	default:
		err = c.run(ctx, *names, *size, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// known are the names of all cases.
func known() (names []string) {
	for _, s := range scenes(1) {
		names = append(names, s.name)
	}
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}

// choose finds the cases by their names: "others" are those with other programs, "alone" those without.
func (c *config) choose(names string) error {
	pick := func(name string) bool {
		found := false
		for _, s := range scenes(c.size) {
			if name == s.name || name == "others" || name == "all" {
				c.cases, found = append(c.cases, s), true
			}
		}
		for _, m := range measurements() {
			if name == m.name || name == "alone" || name == "all" {
				c.alone, found = append(c.alone, m), true
			}
		}
		return found
	}
	for name := range strings.SplitSeq(names, ",") {
		if !pick(name) {
			return fmt.Errorf("-case %q: want some of %s; or others, alone, all", name, strings.Join(known(), ","))
		}
	}
	return nil
}

// run measures all cases.
func (c *config) run(ctx context.Context, names, sizeText string, out, progress io.Writer) (err error) {
	if c.size, err = parseSize(sizeText); err != nil {
		return err
	}
	if err := c.choose(names); err != nil {
		return err
	}
	if c.runs < 1 {
		return errors.New("-runs: want at least 1")
	}
	if fi, err := os.Stat("/dev/shm"); c.dir == "" && err == nil && fi.IsDir() {
		c.dir = "/dev/shm"
	}
	if c.work, err = os.MkdirTemp(c.dir, "sharer-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.work)) }()
	if c.sharer == "" {
		if c.sharer, err = build(ctx, c.work, ""); err != nil {
			return err
		}
	}
	var r results
	for _, s := range c.cases {
		one, err := compare(ctx, *c, s, progress)
		if errors.Is(err, errNoPlace) {
			fmt.Fprintf(progress, "left out: %s: %v\n", s.title, err)
			continue
		}
		if err != nil {
			return err
		}
		one.print(out)
		r.Compared = append(r.Compared, one)
	}
	for _, m := range c.alone {
		fmt.Fprintf(progress, "%s\n", m.title)
		one := sheet{Name: m.name, Title: m.title}
		err := m.run(c, ctx, &one)
		if errors.Is(err, errNoPlace) {
			fmt.Fprintf(progress, "left out: %s: %v\n", m.title, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		one.print(out)
		r.Alone = append(r.Alone, one)
	}
	return c.keep(r)
}

// results are of all cases.
type results struct {
	Compared []report `json:"compared"`
	Alone    []sheet  `json:"alone"`
}

// keep writes the files that were asked for.
func (c *config) keep(r results) (err error) {
	if c.svg != "" {
		err = os.WriteFile(c.svg, picture(r.Compared), 0o644)
	}
	if c.json != "" {
		text, errJSON := json.MarshalIndent(r, "", " ")
		err = errors.Join(err, errJSON, os.WriteFile(c.json, append(text, '\n'), 0o644))
	}
	return err
}

// hash reads a file, or those of a folder, and says the BLAKE3 of each.
func hash(path string) error {
	files := []string{path}
	if fi, err := os.Stat(path); err != nil {
		return err
	} else if fi.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*")); err != nil {
			return err
		}
	}
	buf := make([]byte, 1<<20)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		h := blake3.New()
		_, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, buf)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Printf("%x  %s\n", h.Sum(nil), name)
	}
	return nil
}

// parseSize reads bytes with an optional binary suffix K, M or G.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMG")
	n, err := strconv.ParseInt(digits, 10, 64)
	suffix := text[len(digits):]
	if err != nil || len(suffix) > 1 || n < 1 {
		return 0, fmt.Errorf("-size %q: want bytes with K, M or G", text)
	}
	if suffix != "" {
		n <<= 10 * (1 + strings.Index("KMG", suffix))
	}
	return n, nil
}
