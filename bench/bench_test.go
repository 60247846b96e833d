package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary be what hashes, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-b3" {
		if err := hash(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "-tracker" {
		if err := track(context.Background(), os.Args[2]); err != nil { // it is killed
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestChoose(t *testing.T) {
	for names, want := range map[string]int{"all": len(known()), "others,alone": len(known()), "one": 1, "one,rtt20,index": 3, "": -1, "one,": -1, "two": -1} {
		c := config{size: 1 << 20}
		if err := c.choose(names); (err != nil) != (want < 0) || err == nil && len(c.cases)+len(c.alone) != want {
			t.Errorf("%q: %d and %d cases, %v", names, len(c.cases), len(c.alone), err)
		}
	}
	for text, want := range map[string]int64{"5": 5, "3K": 3 << 10, "2M": 2 << 20, "1G": 1 << 30, "": -1, "0": -1, "1KK": -1, "x": -1} {
		if got, err := parseSize(text); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

// All cases that need no namespaces, small, with curl if it is here: the figures are there and the picture is XML.
func TestCases(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	c := config{runs: 1, only: regexp.MustCompile("^curl"), dir: t.TempDir(), json: filepath.Join(t.TempDir(), "json")}
	var out bytes.Buffer
	if err := c.run(context.Background(), "one,sources,crowd,peers", "1M", &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.json)
	must(t, err)
	var all results
	if err := json.Unmarshal(text, &all); err != nil || len(all.Compared) != 3 {
		t.Fatalf("%v: %s", err, text)
	}
	if len(all.Alone) != 1 || len(all.Alone[0].Rows) != 4 {
		t.Errorf("%+v", all.Alone)
	}
	rs, bars := all.Compared, 0
	for _, r := range rs {
		for _, p := range c.programs() {
			if !p.ours && !c.only.MatchString(p.name) || p.fits != nil && !slices.ContainsFunc(c.cases, func(s scene) bool { return s.name == r.Name && p.fits(s) }) {
				continue
			}
			i := slices.IndexFunc(r.Results, func(x result) bool { return x.Program == p.name })
			if here := p.absent() == ""; here != (i >= 0) {
				t.Errorf("%s: %s is here: %v; measured: %v; absent: %q", r.Name, p.name, here, i >= 0, r.Absent)
			}
		}
		for _, p := range r.Results {
			if p.MBps <= 0 || p.Ratio <= 0 || len(p.Seconds) != 1 {
				t.Errorf("%s: %+v", r.Name, p)
			}
		}
		bars += len(r.Results)
		if !strings.Contains(out.String(), r.Case) {
			t.Errorf("%s is not in the table", r.Case)
		}
	}
	svg := picture(rs)
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(string(svg), "<rect"); n != 1+bars {
		t.Errorf("%d bars, want %d", n-1, bars)
	}
}
