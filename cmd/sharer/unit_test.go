package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode"
	"unicode/utf8"

	"sharer/identity"
	"sharer/limit"
	"sharer/node"
)

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		bad  string // part of the error
	}{
		{"0", 0, ""},
		{"512", 512, ""},
		{"512B", 512, ""},
		{"1K", 1024, ""},
		{"1k", 1024, ""},
		{"1KiB", 1024, ""},
		{"1.5M", 3 << 19, ""},
		{"2g", 2 << 30, ""},
		{"3T", 3 << 40, ""},
		{"9223372036854775807", math.MaxInt64, ""},
		{"9223372036854775808", 0, "too large"},
		{"8388608T", 0, "too large"},
		{"8388607T", 8388607 << 40, ""},
		{"", 0, "not a number"},
		{"K", 0, "not a number"},
		{".", 0, "not a number"},
		{".5K", 0, "not a number"},
		{"5.K", 0, "not a number"},
		{"1.2.3", 0, "not a number"},
		{"-1", 0, "unknown unit"},
		{"1KB", 0, "unknown unit"},
		{"1Kb", 0, "unknown unit"},
		{"1Mbit", 0, "unknown unit"},
		{"1e3", 0, "unknown unit"},
		{"1 K", 0, "unknown unit"},
		{"1P", 0, "unknown unit"},
	} {
		got, err := parseSize(c.text)
		if c.bad == "" && (err != nil || got != c.want) {
			t.Errorf("parseSize(%q) = %d, %v; want %d", c.text, got, err, c.want)
		}
		if c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("parseSize(%q) = %d, %v; want %s", c.text, got, err, c.bad)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1K", "1.5M", "9223372036854775807", "8388608T", "7999999.9T"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Fatalf("parseSize(%q) = %d", s, n)
		}
	})
}

func TestRateLimit(t *testing.T) {
	for _, c := range []struct {
		text     string
		up, down int64
		ok       bool
	}{
		{"1M:512K", 1 << 20, 512 << 10, true},
		{"1M", 1 << 20, 1 << 20, true},
		{"off", 0, 0, true},
		{"off:1M", 0, 1 << 20, true},
		{"1M:OFF", 1 << 20, 0, true},
		{"0", limit.Nothing, limit.Nothing, true},
		{"0:1M", limit.Nothing, 1 << 20, true},
		{"1M:", 0, 0, false},
		{":1M", 0, 0, false},
		{"1M:2M:3M", 0, 0, false},
		{"1Mbit", 0, 0, false},
	} {
		var r rateLimit
		if err := r.Set(c.text); (err == nil) != c.ok || c.ok && r != (rateLimit{c.up, c.down}) {
			t.Errorf("%q: %+v, %v", c.text, r, err)
		}
		if text := r.String(); text != "" {
			var again rateLimit
			if err := again.Set(text); err != nil || again != r {
				t.Errorf("%q is written %q, which is read as %+v, %v", c.text, text, again, err)
			}
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{formatSize(0), "0 B"},
		{formatSize(1023), "1023 B"},
		{formatSize(1024), "1.0 KiB"},
		{formatSize(6 << 30), "6.0 GiB"},
		{formatSize(math.MaxInt64), "8388608.0 TiB"},
		{formatPart(1395864371, 3303444480), "1.3/3.1 GiB"},
		{formatPart(5, 10), "5/10 B"},
		{formatPart(1395864371, -1), "1.3 GiB of ?"},
		{shortDuration(161e9), "2m41s"},
		{shortDuration(0), "0s"},
		{shortDuration(3600e9), "1h0m"},
		{shortDuration(100000e9), "1d3h"},
		{shortDuration(math.MaxInt64), "106751d"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"hello":                           "hello",
		"grüß 你好 🙂":                       "grüß 你好 🙂",
		"a\nb\tc\r":                       `a\nb\tc\r`,
		"\x1b[31mred\x07":                 `\x1b[31mred\a`,
		"\u009b31m":                       `\u009b31m`,
		"bad\xff":                         `bad\xff`,
		"gpj\u202eexe":                    `gpj\u202eexe`,
		"\u2066x\u2069":                   `\u2066x\u2069`,
		"\u2028":                          `\u2028`,
		"\x00\x7f":                        `\x00\x7f`,
		"\U000e0041":                      `\U000e0041`,
		"👩\u200d🚀":                        "👩\u200d🚀",
		`back\slash`:                      `back\slash`,
		"\ufeff" + strings.Repeat("a", 3): `\ufeffaaa`,
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"a\nb", "\x1b]0;title\x07", "\u202e", "\u009b", "\xc2", "\u2067", "\U000e0041", "👩\u200d🚀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := escape(s)
		if !utf8.ValidString(out) {
			t.Fatalf("escape(%q) = %q is not UTF-8", s, out)
		}
		for _, r := range out {
			bidi := r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
			if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || bidi {
				t.Fatalf("escape(%q) = %q holds %U", s, out, r)
			}
		}
		if again := escape(out); again != out {
			t.Fatalf("escape is not stable: %q, %q", out, again)
		}
		var line strings.Builder
		writeEvent(&line, chatEvent{Text: s})
		if text := strings.TrimSuffix(line.String(), "\n"); escape(text) != text && utf8.ValidString(s) {
			t.Fatalf("the event %q would change a terminal", text)
		}
	})
}

func TestShorten(t *testing.T) {
	if got := shorten("äöü", 3); got != "ä… (4 more bytes)" {
		t.Errorf("got %q", got)
	}
	if got := shorten("abc", 3); got != "abc" {
		t.Errorf("got %q", got)
	}
}

func TestQuoteShell(t *testing.T) {
	for in, want := range map[string]string{
		"": "''", "a.iso": "a.iso", "a b": "'a b'", "it's": `'it'\''s'`, "lcdp://blake3/ab?s=1": "'lcdp://blake3/ab?s=1'", "*": "'*'",
	} {
		if got := quoteShell(in); got != want {
			t.Errorf("quoteShell(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	stopped, cancel := context.WithCancelCause(context.Background())
	cancel(&interrupted{os.Interrupt})
	terminated, cancel := context.WithCancelCause(context.Background())
	cancel(&interrupted{syscall.SIGTERM})
	plain := context.Background()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want exit
	}{
		{plain, nil, 0},
		{stopped, nil, 0},
		{plain, errors.New("x"), 1},
		{plain, fmt.Errorf("resolve: %w", node.ErrConflict), 5}, {plain, fmt.Errorf("x: %w", identity.ErrKeyFile), 5}, {plain, &node.NameError{}, 3},
		{plain, usagef("x"), 2},
		{plain, &node.NotFoundError{}, 3},
		{plain, fmt.Errorf("get: %w", node.ErrStalled), 4},
		{plain, node.ErrIntegrity, 5},
		{plain, &severalError{code: 6}, 6},
		{plain, &severalError{code: 3}, 3},
		{plain, &fs.PathError{Err: syscall.ENOSPC}, 7},
		{plain, errors.Join(node.ErrStalled, syscall.EDQUOT), 7},
		{plain, node.ErrExists, 8},
		{plain, &codedError{exitDaemon, errors.New("x")}, 10},
		{plain, fmt.Errorf("x: %w", &node.LockedError{Path: "d", PID: 7}), 11},
		{plain, &fs.PathError{Err: syscall.EACCES}, 12},
		{stopped, context.Canceled, 130},
		{terminated, fmt.Errorf("get: %w", context.Canceled), 143},
		{stopped, errors.New("x"), 1},
		{plain, context.Canceled, 1},
	} {
		if got := exitOf(c.ctx, c.err); got != c.want {
			t.Errorf("exitOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestTogether(t *testing.T) {
	for _, c := range []struct {
		failed []exit
		total  int
		want   exit
	}{
		{nil, 3, exitDone},
		{[]exit{3}, 3, exitSome},
		{[]exit{3, 3, 3}, 3, exitNotFound},
		{[]exit{3, 3, 4}, 3, exitSome},
		{[]exit{8}, 1, exitExists},
	} {
		if got := together(c.failed, c.total); got != c.want {
			t.Errorf("together(%v, %d) = %d, want %d", c.failed, c.total, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"sed", "seed"}, {"sead", "seed"}, {"gte", "get"}, {"got", "get"}, {"peer", "peers"}, {"hsah", "hash"}, {"pong", "ping"}, {"xyzzy", ""}, {"", ""}, {"q", ""},
	} {
		if got := nearest(c.word, []string{"seed", "get", "hash", "ping", "peers"}); got != c.want {
			t.Errorf("nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}
