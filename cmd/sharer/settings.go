package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"sharer/config"
)

// Where a value comes from: a flag, the environment, the file of settings, or nowhere, in this order.

// configFile is the path of the file of settings. named: the user said which, so it has to be there.
func (o *options) configFile(getenv func(string) string) (path string, named bool) {
	if o.config != "" {
		return o.config, true
	}
	if path := getenv(envName("config")); path != "" {
		return path, true
	}
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sharer", "config.toml"), false
	}
	for _, home := range []string{getenv("HOME"), getenv("USERPROFILE")} {
		if home != "" {
			return filepath.Join(home, ".config", "sharer", "config.toml"), false
		}
	}
	return "", false
}

// readSettings reads the file of settings; without one, and without a place where it would be, the result is empty.
func (o *options) readSettings(getenv func(string) string) (*config.File, error) {
	path, named := o.configFile(getenv)
	if path == "" {
		return &config.File{}, nil
	}
	f, err := config.Read(path, !named)
	if bad := (*config.Error)(nil); errors.As(err, &bad) {
		return nil, usagef("%v. Mend it, or name another file with --config", bad)
	}
	if err != nil {
		return nil, fmt.Errorf("settings: %w", pathError(err))
	}
	return f, nil
}

// notInFile are the flags that a file cannot set: where it is itself, and what only makes sense said each time.
var notInFile = []string{"config", "help"}

// checkSettings returns what is wrong with the keys of f and with their values, in the order of the lines.
func checkSettings(f *config.File, all []*command) (bad []*config.Error) {
	for _, s := range f.Settings {
		if text := checkSetting(s, all); text != "" {
			bad = append(bad, &config.Error{Path: f.Path, Line: s.Line, Column: 1, Text: text})
		}
	}
	return bad
}

// checkSetting says what is wrong with one setting and what to do, "" if nothing is.
func checkSetting(s config.Setting, all []*command) string {
	var names, verbs, own []string
	known := false
	for _, c := range all {
		verbs = append(verbs, c.name)
		if s.Command != "" && s.Command != c.name {
			continue
		}
		f := c.flags.Lookup(s.Key)
		switch {
		case f == nil || slices.Contains(notInFile, s.Key):
		case s.Command == "" && !c.general(s.Key):
			own = append(own, c.name)
		default:
			known = true
			if text := c.trySetting(f, s); text != "" {
				return text
			}
		}
		c.flags.VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(notInFile, f.Name) {
				names = append(names, f.Name)
			}
		})
	}
	switch {
	case known:
		return ""
	case len(own) > 0:
		return fmt.Sprintf("%s is no setting for all commands; put it below a line [%s]", s.Key, own[0])
	case slices.Contains(notInFile, s.Key):
		return fmt.Sprintf("%s cannot be set in the file; give it as a flag", s.Key)
	case s.Command != "" && !slices.Contains(verbs, s.Command):
		if meant := nearest(s.Command, verbs); meant != "" {
			return fmt.Sprintf("there is no command %s; did you mean [%s]?", shorten(s.Command, 40), meant)
		}
		return fmt.Sprintf("there is no command %s; sharer help lists them", shorten(s.Command, 40))
	}
	of := "no command has"
	if s.Command != "" {
		of = s.Command + " does not have"
	}
	if meant := nearest(s.Key, names); meant != "" {
		return fmt.Sprintf("unknown key %s; did you mean %s?", shorten(s.Key, 40), meant)
	}
	return fmt.Sprintf("unknown key %s: a flag that %s; see sharer help COMMAND", shorten(s.Key, 40), of)
}

// trySetting sets a flag of c, which is thrown away afterwards, and words what is wrong with it.
func (c *command) trySetting(f *pflag.Flag, s config.Setting) string {
	if text := c.set(f, s); text != "" {
		return text
	}
	err := c.options.validate(c.flags)
	if err == nil {
		return ""
	}
	// The next setting is not to blame.
	if list, ok := f.Value.(pflag.SliceValue); ok {
		_ = list.Replace(nil)
	} else {
		_ = f.Value.Set(f.DefValue)
	}
	return strings.TrimPrefix(err.Error(), "--")
}

// set sets a flag of c, and words what is wrong with the value.
func (c *command) set(f *pflag.Flag, s config.Setting) string {
	if len(s.Values) != 1 && !repeatable(f) {
		return fmt.Sprintf("%s takes one value, not a list", s.Key)
	}
	for _, v := range s.Values {
		if err := c.flags.Set(f.Name, v); err != nil {
			if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
				err = errors.Unwrap(invalid)
			}
			return fmt.Sprintf("%s = %q: %v; see sharer help %s", s.Key, shorten(v, 80), err, c.name)
		}
		if slices.Contains(wholePaths, s.Key) && !filepath.IsAbs(v) && !strings.HasPrefix(v, "~") {
			return fmt.Sprintf("%s = %q: want a whole path, since commands are given in any folder", s.Key, shorten(v, 80))
		}
	}
	return ""
}

// wholePaths are the settings that are paths of something that is where it is.
var wholePaths = []string{"state-dir", "seed-root", "mirror-store"}

func repeatable(f *pflag.Flag) bool { return f.Value.Type() == "stringArray" }

// setFromFile sets the flags that neither the command line nor the environment has set. All of the file is
// looked at, also what is meant for other verbs: a mistake shows at once, not the day after.
func (c *command) setFromFile(getenv func(string) string) error {
	f, err := c.options.readSettings(getenv)
	if err != nil {
		return err
	}
	if len(f.Settings) == 0 {
		return nil
	}
	if bad := checkSettings(f, commands()); len(bad) > 0 {
		return usagef("%v", bad[0])
	}
	mine, path := f.For(c.name), f.Path
	var wrong string
	c.flags.VisitAll(func(f *pflag.Flag) {
		if s, ok := mine[f.Name]; ok && (s.Command != "" || c.general(f.Name)) && !f.Changed && wrong == "" {
			wrong = c.set(f, s)
			c.from[f.Name] = fmt.Sprintf("%s, line %d", path, s.Line)
		}
	})
	if wrong != "" {
		return usagef("%s: %s", f.Path, wrong)
	}
	return nil
}
