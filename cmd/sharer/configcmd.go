package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"sharer/config"
	"sharer/internal/atomicfile"
)

func newConfig() *command {
	c := newCommand("config", "get [KEY] | set KEY VALUE... | path | check", "read, change and check the file of settings")
	c.long = `Settings are looked for in this order: the flag, its variable in the environment
(--bwlimit as SHARER_BWLIMIT), the file, the default. The file is TOML; its keys are spelled as
the flags. What stands above the first table is for every command that has such a flag, what
stands below [get] for get alone.

get prints the value that counts, or all that are not the default, with where each comes from.
set writes one into the file and leaves the rest of it alone; COMMAND.KEY means one command.
path prints where the file is. check reads it and names each mistake by its line.`
	c.examples = `sharer config set bwlimit 2M:512K
sharer config set peer a.example:24254 b.example:24254
sharer config set get.find-timeout 5m
sharer config get bwlimit
sharer config check --config /etc/sharer/config.toml`
	c.ownFile = true
	c.outputFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runConfig(ctx, c.options, args, s) }
	return c
}

func runConfig(ctx context.Context, o *options, args []string, s *stdio) error {
	if len(args) == 0 {
		return usagef("config needs get, set, path or check; see sharer help config")
	}
	verb, args := args[0], args[1:]
	most := map[string]int{"get": 1, "path": 0, "check": 0, "set": len(args)}
	n, ok := most[verb]
	switch {
	case !ok:
		hint := "; want get, set, path or check"
		if meant := nearest(verb, []string{"get", "set", "path", "check"}); meant != "" {
			hint = fmt.Sprintf("; did you mean %s?", meant)
		}
		return usagef("config cannot %q%s", shorten(verb, 40), hint)
	case len(args) > n:
		return usagef("config %s: %q is left over", verb, shorten(args[n], 80))
	}
	if path, _ := o.configFile(s.getenv); path == "" {
		return usagef("cannot tell where the file of settings is; name it with --config FILE")
	}
	switch verb {
	case "get":
		return configGet(o, args, s)
	case "set":
		return configSet(ctx, o, args, s)
	case "path":
		return configPath(o, s)
	}
	return configCheck(o, s)
}

// settingRow is one setting that counts.
type settingRow struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
	From   string   `json:"from"` // "environment", "file", "default"
	Line   int      `json:"line,omitempty"`

	text string
}

// settingsDocument is the answer to sharer config --json.
type settingsDocument struct {
	V        int          `json:"v"`
	Type     string       `json:"type"` // "config"
	Path     string       `json:"path"`
	Exists   bool         `json:"exists"`
	Settings []settingRow `json:"settings"`
	Mistakes []mistakeRow `json:"mistakes,omitempty"`
}

// mistakeRow is one thing that is wrong with the file.
type mistakeRow struct {
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

func (o *options) settingsDocument(s *stdio) settingsDocument {
	path, _ := o.configFile(s.getenv)
	_, err := os.Stat(path)
	return settingsDocument{V: 1, Type: "config", Path: path, Exists: err == nil, Settings: []settingRow{}}
}

// configGet prints what counts.
func configGet(o *options, args []string, s *stdio) error {
	f, err := o.readSettings(s.getenv)
	if err != nil {
		return err
	}
	doc := o.settingsDocument(s)
	if len(args) == 1 {
		row, err := effective(f, args[0], s.getenv)
		if err != nil {
			return err
		}
		doc.Settings = append(doc.Settings, row)
	} else {
		doc.Settings = allEffective(f, s.getenv)
	}
	switch {
	case o.json:
		writeEvent(s.out, doc)
	case len(args) == 1:
		fmt.Fprintln(s.out, escape(doc.Settings[0].text))
	default:
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprint(w, "KEY\tVALUE\tFROM\n")
		for _, r := range doc.Settings {
			from := r.From
			if r.Line > 0 {
				from = fmt.Sprintf("%s, line %d", f.Path, r.Line)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Key, escape(r.text), escape(from))
		}
		w.Flush()
	}
	return nil
}

// splitKey takes COMMAND.KEY apart.
func splitKey(name string) config.Setting {
	if verb, key, ok := strings.Cut(name, "."); ok {
		return config.Setting{Command: verb, Key: key}
	}
	return config.Setting{Key: name}
}

// flagOf finds the flag that a key means.
func flagOf(s config.Setting) (*command, *pflag.Flag, error) {
	all := commands()
	for _, c := range all {
		if f := c.flags.Lookup(s.Key); f != nil && (s.Command == "" && c.general(s.Key) || s.Command == c.name) && !slices.Contains(notInFile, s.Key) {
			return c, f, nil
		}
	}
	return nil, nil, usagef("%s", checkSetting(s, all))
}

// effective is the value of one key that counts for a command, or for those that say nothing of their own.
func effective(f *config.File, name string, getenv func(string) string) (settingRow, error) {
	want := splitKey(name)
	c, flag, err := flagOf(want)
	if err != nil {
		return settingRow{}, err
	}
	general := c.general(want.Key)
	if v := getenv(envName(want.Key)); v != "" && general {
		return settingRow{Key: name, Values: []string{v}, From: "environment", text: v}, nil
	}
	if s, ok := f.For(want.Command)[want.Key]; ok && (s.Command != "" || general) {
		return settingRow{Key: name, Values: s.Values, From: "file", Line: s.Line, text: s.Text()}, nil
	}
	return settingRow{Key: name, Values: []string{flag.DefValue}, From: "default", text: flag.DefValue}, nil
}

// allEffective are the settings of the environment and of the file, by name.
func allEffective(f *config.File, getenv func(string) string) []settingRow {
	rows := []settingRow{}
	seen := map[string]bool{}
	take := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if row, err := effective(f, name, getenv); err == nil && row.From != "default" {
			rows = append(rows, row)
		}
	}
	for _, s := range f.Settings {
		take(s.Name())
	}
	for _, c := range commands() {
		c.flags.VisitAll(func(fl *pflag.Flag) { take(fl.Name) })
	}
	slices.SortFunc(rows, func(a, b settingRow) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

// configSet writes one setting.
func configSet(ctx context.Context, o *options, args []string, s *stdio) error {
	if len(args) < 2 {
		return usagef("config set needs a key and a value, such as: sharer config set bwlimit 2M:512K")
	}
	set := splitKey(args[0])
	set.Values = args[1:]
	c, flag, err := flagOf(set)
	if err != nil {
		return err
	}
	if wrong := c.trySetting(flag, set); wrong != "" {
		return usagef("%s", wrong)
	}
	set.List = repeatable(flag)
	path, _ := o.configFile(s.getenv)
	if err := changeConfig(ctx, path, set); err != nil {
		return err
	}
	if o.json {
		doc := o.settingsDocument(s)
		doc.Settings = append(doc.Settings, settingRow{Key: set.Name(), Values: set.Values, From: "file"})
		writeEvent(s.out, doc)
	}
	if !o.quiet && !o.json {
		when := "it counts from now on, for a running daemon from its next start"
		if slices.Contains(live, set.Key) && (set.Command == "" || set.Command == "daemon") {
			when = "it counts from now on, for a running daemon after: kill -HUP PID"
		}
		fmt.Fprintf(s.err, "wrote %s; %s\n", escape(path), when)
	}
	return nil
}

// changeConfig writes a setting into a file. Where the name is a link, what it leads to is replaced.
func changeConfig(ctx context.Context, path string, set config.Setting) (err error) {
	file := behindLinks(path)
	unlock, err := lockConfig(ctx, file)
	if err != nil {
		return fmt.Errorf("settings: %w", pathError(err))
	}
	defer func() { err = errors.Join(err, unlock()) }()
	f, err := config.Read(path, true)
	if bad := (*config.Error)(nil); errors.As(err, &bad) {
		return usagef("%v. Mend it first; nothing was written", bad)
	}
	if err != nil {
		return fmt.Errorf("settings: %w", pathError(err))
	}
	text, err := f.Set(set)
	if err == nil {
		err = replaceConfig(file, text)
	}
	if err != nil {
		return fmt.Errorf("settings: %w", pathError(err))
	}
	return nil
}

// replaceConfig puts text in the place of a file, whole or not at all.
func replaceConfig(path string, text []byte) error {
	mode := fs.FileMode(0o600)
	if fi, err := os.Stat(path); err == nil {
		mode = fi.Mode().Perm()
	}
	return atomicfile.Write(path, text, atomicfile.How{Mode: mode, Shared: true})
}

// configPath prints where the file is, whether it is there or not.
func configPath(o *options, s *stdio) error {
	doc := o.settingsDocument(s)
	if o.json {
		writeEvent(s.out, doc)
		return nil
	}
	fmt.Fprintln(s.out, doc.Path)
	if !doc.Exists && !o.quiet {
		fmt.Fprintln(s.err, "it is not there yet; sharer config set makes it")
	}
	return nil
}

// configCheck names every mistake of the file.
func configCheck(o *options, s *stdio) error {
	path, named := o.configFile(s.getenv)
	f, err := config.Read(path, !named)
	var bad []*config.Error
	if one := (*config.Error)(nil); errors.As(err, &one) {
		bad = append(bad, one)
	} else if err != nil {
		return fmt.Errorf("settings: %w", pathError(err))
	} else {
		bad = checkSettings(f, commands())
	}
	doc := o.settingsDocument(s)
	for _, b := range bad {
		doc.Mistakes = append(doc.Mistakes, mistakeRow{b.Line, b.Text})
		if !o.json {
			fmt.Fprintln(s.err, escape(b.Error()))
		}
	}
	if f != nil {
		doc.Settings = allEffective(f, func(string) string { return "" })
	}
	if len(bad) > 0 {
		if o.json {
			writeEvent(s.out, doc)
		}
		return &codedError{exitUsage, fmt.Errorf("%s has %s", path, count(len(bad), "mistake"))}
	}
	switch {
	case o.json:
		writeEvent(s.out, doc)
	case !doc.Exists:
		fmt.Fprintf(s.out, "%s is not there; the defaults count\n", escape(path))
	default:
		fmt.Fprintf(s.out, "%s: %s, no mistake\n", escape(path), count(len(f.Settings), "setting"))
	}
	return nil
}
