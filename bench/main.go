// Command bench measures sharer against other programs that move a file: so far curl from
// nginx, one to one on loopback. It prints ratios first, as machines differ and are noisy: only what
// ran in the same, interleaved run may be compared.
//
//	go run ./bench [-size 1G] [-runs 7] [-dir DIR] [-json]
//
// Nothing leaves the machine. Nobody syncs: neither curl nor sharer does unless asked.
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
	"strconv"
	"strings"
)

type config struct {
	sizes  []int64
	runs   int
	dir    string // where the file and its copies lie
	binary string // of sharer; empty: built from this tree
	json   bool
}

func main() {
	var c config
	sizes := flag.String("size", "1G", "sizes of the file, as 64M,1G")
	flag.IntVar(&c.runs, "runs", 7, "runs of each program")
	flag.StringVar(&c.dir, "dir", "", "folder for the files (default: the system's temporary one)")
	flag.StringVar(&c.binary, "sharer", "", "binary of sharer (default: built from this tree)")
	flag.BoolVar(&c.json, "json", false, "print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := c.run(ctx, *sizes, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures all sizes; the work folder is gone afterwards.
func (c *config) run(ctx context.Context, sizes string, out, progress io.Writer) (err error) {
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		c.sizes = append(c.sizes, n)
	}
	if c.runs < 1 {
		return errors.New("-runs: want at least 1")
	}
	work, err := os.MkdirTemp(c.dir, "sharer-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if c.binary == "" {
		if c.binary, err = build(ctx, work); err != nil {
			return err
		}
	}
	var reports []report
	for _, size := range c.sizes {
		r, err := compare(ctx, *c, work, size, progress)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	if c.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", " ")
		return enc.Encode(reports)
	}
	for _, r := range reports {
		r.print(out)
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
