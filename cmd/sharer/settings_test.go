package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPrecedence: flag, environment, the command's table, what is for all, default.
func TestPrecedence(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.toml")
	text := "find-timeout = \"4m\"\nstall-timeout = \"4m\"\nretry = 1\n[get]\nfind-timeout = \"3m\"\n"
	for _, c := range []struct {
		file, env, flag string
		want            time.Duration
	}{
		{"", "", "", time.Minute},
		{"find-timeout = \"4m\"\n", "", "", 4 * time.Minute},
		{"find-timeout = \"4m\"\n[get]\nfind-timeout = \"3m\"\n", "", "", 3 * time.Minute},
		{"find-timeout = \"4m\"\n[seed]\nexclude = [\"x\"]\n", "", "", 4 * time.Minute},
		{"find-timeout = \"4m\"\n", "2m", "", 2 * time.Minute},
		{"find-timeout = \"4m\"\n", "2m", "1s", time.Second},
		{"find-timeout = \"4m\"\n", "", "1s", time.Second},
	} {
		if err := os.WriteFile(name, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := newGet()
		args := []string{"--config", name}
		if c.flag != "" {
			args = append(args, "--find-timeout", c.flag)
		}
		err := cmd.parse(args, func(key string) string {
			if key == "SHARER_FIND_TIMEOUT" {
				return c.env
			}
			return ""
		})
		got, gerr := cmd.flags.GetDuration("find-timeout")
		if err != nil || gerr != nil || got != c.want {
			t.Errorf("%+v: %v, %v, %v", c, got, err, gerr)
		}
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := newGet().parse([]string{"--config", name}, func(string) string { return "" })
	if err == nil || exitOf(t.Context(), err) != exitUsage {
		t.Errorf("an unknown key: %v", err)
	}
}
