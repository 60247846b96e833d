package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
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

// TestSetForGood: what is set for good is for what it means something for, and gives way to the command line.
func TestSetForGood(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.toml")
	for _, c := range []struct {
		verb, file, env string // env: NAME=VALUE
		args            []string
		flag, want      string
	}{
		{"mirror", `group = "friends"`, "", nil, "group", "[]"},
		{"mirror", "", "SHARER_GROUP=friends", nil, "group", "[]"},
		{"chat", `group = "friends"`, "", nil, "group", "friends"},
		{"mirror", "[mirror]\ngroup = [\"ab\"]", "", nil, "group", "[ab]"},
		{"mirror", "", "SHARER_NAME=x", nil, "name", ""},
		{"link", "peers = true", "", nil, "peers", "0"},
		{"ls", "peers = true", "", nil, "peers", "true"},
		{"link", "[link]\npeers = 3", "", nil, "peers", "3"},
		{"ls", "", "SHARER_PEERS=true", nil, "peers", "true"},
		{"link", "", "SHARER_PEERS=true", nil, "peers", "0"},
		{"deny", "", "SHARER_REASON=what a hook is told", nil, "reason", ""},
		{"get", `http = "0.0.0.0:8080"`, "", nil, "http", "off"},
		{"open", `http = "off"`, "", nil, "http", defaultHTTP},
		{"daemon", `http = "off"`, "", nil, "http", "off"},
		{"get", "[get]\nrename = true", "", []string{"--force"}, "rename", "false"},
		{"get", "", "SHARER_FORCE=true", []string{"--rename"}, "force", "false"},
		{"hash", "[hash]\nblake3 = true", "", []string{"--sha256"}, "blake3", "false"},
		{"link", "json = true", "", []string{"--qr"}, "json", "false"},
		{"chat", `to = "127.0.0.1:1"`, "", []string{"--group", "x"}, "to", ""},
		{"chat", "", "SHARER_GROUP=x", []string{"--to", "127.0.0.1:1"}, "group", "main"},
		{"ls", "quiet = true", "", []string{"-v"}, "quiet", "false"},
		{"ls", "verbose = 2", "", []string{"-q"}, "verbose", "0"},
		{"get", "", "SHARER_STATE_DIR=~/x", nil, "state-dir", "/home/u/x"},
		{"get", "", "", []string{"--state-dir=~/x"}, "state-dir", "/home/u/x"},
		{"get", "", "", []string{"--state-dir=./~/x"}, "state-dir", "./~/x"},
		{"get", `state-dir = "~/x"`, "", nil, "state-dir", "/home/u/x"},
		{"get", "[get]\noutput = \"~\"", "", nil, "output", "/home/u"},
		{"daemon", "[daemon]\nseed-root = [\"/a\", \"~/b\"]", "", nil, "seed-root", "[/a,/home/u/b]"},
	} {
		if err := os.WriteFile(name, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		key, value, _ := strings.Cut(c.env, "=")
		env := map[string]string{"HOME": "/home/u", "SHARER_CONFIG": name, key: value}
		cmd := named(commands(), c.verb)
		err := cmd.parse(c.args, func(key string) string { return env[key] })
		if got := cmd.flags.Lookup(c.flag).Value.String(); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}

// TestFlagsMeanOneThing: a flag that several verbs have takes the same values for all of them, or is none that is set for all.
func TestFlagsMeanOneThing(t *testing.T) {
	kinds := map[string]string{}
	for _, c := range commands() {
		c.flags.VisitAll(func(f *pflag.Flag) {
			kind, known := kinds[f.Name]
			switch {
			case !c.general(f.Name), f.Name == "min-free": // of a mirror a size, or a percentage too
			case !known:
				kinds[f.Name] = f.Value.Type()
			case kind != f.Value.Type():
				t.Errorf("--%s of %s takes %s, elsewhere %s", f.Name, c.name, f.Value.Type(), kind)
			}
		})
	}
}

// TestWhereFrom: a mistake in what is set for good says where it stands.
func TestWhereFrom(t *testing.T) {
	c := newConsole(t)
	name := filepath.Join(t.TempDir(), "c.toml")
	c.env["SHARER_CONFIG"] = name
	for _, tc := range []struct{ file, env, value, want string }{
		{"[get]\njobs = 100\n", "", "", "c.toml, line 2: --jobs 100: want 1 to 64"},
		{"", "SHARER_JOBS", "100", "SHARER_JOBS: --jobs 100: want 1 to 64"},
		{"quiet = true\ncolor = \"blue\"\n", "", "", `c.toml, line 2: color "blue": want auto, always, never`},
		{"quiet = true\n", "SHARER_COLOR", "blue", `SHARER_COLOR: --color "blue": want auto, always, never`},
		{"listen = [\"localhost\"]\nquiet = true\n", "", "", `c.toml, line 1: listen "localhost": want ADDR:PORT`},
		{"state-dir = \"st\"\n", "", "", `c.toml, line 1: state-dir = "st": want a whole path`},
		{"reason = \"x\"\n", "", "", "c.toml, line 1: reason is no setting for all commands; put it below a line [deny]"},
	} {
		if err := os.WriteFile(name, []byte(tc.file), 0o600); err != nil {
			t.Fatal(err)
		}
		c.env[tc.env] = tc.value
		c.run(t.Context(), "get", someHex).want(t, exitUsage, "*", tc.want)
		delete(c.env, tc.env)
	}
}

// TestSetsAtOnce: of several that write into one file, by its name and by a link to it, each writes what it should.
func TestSetsAtOnce(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "c.toml"), filepath.Join(dir, "link")
	if err := os.Symlink("c.toml", link); err != nil {
		link = name // a system without links
	}
	want := []string{"bwlimit = \"2M\"", "color = \"never\"", "find-timeout = \"5m\"", "stall-timeout = \"6m\"", "quiet = true", "isolated = true", "min-free = \"3G\"", "peer = [\"a.example:1\"]"}
	var sets sync.WaitGroup
	for i, line := range want {
		key, value, _ := strings.Cut(line, " = ")
		sets.Go(func() {
			newConsole(t).run(t.Context(), "config", "set", "--config", []string{name, link}[i%2], key, strings.Trim(value, "[]\"")).want(t, exitDone, "", "wrote")
		})
	}
	sets.Wait()
	text, err := os.ReadFile(name)
	for _, line := range want {
		if err != nil || !strings.Contains("\n"+string(text), "\n"+line+"\n") {
			t.Errorf("%s is lost: %v, the file is\n%s", line, err, text)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 {
		t.Errorf("left beside it: %v, %v", entries, err)
	}
}

// TestSetWaits: who waits for another writer can be interrupted, and has written nothing.
func TestSetWaits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.toml")
	unlock, err := lockConfig(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(&interrupted{os.Interrupt})
	newConsole(t).run(ctx, "config", "set", "--config", name, "quiet", "true").want(t, exitInterrupted, "", "")
	if _, err := os.Lstat(name); err == nil {
		t.Error("it is written")
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	newConsole(t).run(t.Context(), "config", "set", "--config", name, "quiet", "true").want(t, exitDone, "", "wrote")
}
