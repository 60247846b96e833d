package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// command is one verb.
type command struct {
	name     string
	args     string // what follows the flags in the usage line
	short    string // one line of the overview
	long     string // the text of its help
	examples string
	flags    *pflag.FlagSet
	options  *options // the flags that several verbs share
	common   []string // names of the shared flags that this verb has
	own      []string // flags that mean another thing here than with other verbs: only a flag or the verb's own table sets them
	ownFile  bool     // it reads the file of settings itself, also one with mistakes
	typed    []string // the flags of this command line; filled by parse
	contrary []pair   // flags that contradict each other

	from map[string]string // of what is set for good: the variable, or the line of the file; filled by parse
	run  func(ctx context.Context, args []string, s *stdio) error
}

// pair is two flags that contradict each other: one that is set for good gives way to the other on the command line.
type pair [2]string

// newCommand makes a verb that has no flags yet.
func newCommand(name, args, short string) *command {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	return &command{name: name, args: args, short: short, flags: fs, options: &options{color: "auto", progress: "auto"}, contrary: []pair{{"quiet", "verbose"}}, from: map[string]string{}}
}

// findCommand finds the verb among the arguments; flags may stand before it. rest
// is what is left for the verb's flags. c and err are both nil when help was asked
// for without a verb.
func findCommand(all []*command, args []string) (c *command, rest []string, err error) {
	at, asked := verbAt(all, args)
	switch {
	case asked == "help":
		return nil, nil, nil
	case asked == "version":
		return named(all, "version"), nil, nil
	case at < 0:
		return nil, nil, usagef("no command given; sharer help lists them")
	}
	word := args[at]
	rest = slices.Delete(slices.Clone(args), at, at+1)
	if c = named(all, word); c != nil {
		return c, rest, nil
	}
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.name)
	}
	hint := "; sharer help lists the commands"
	meant, ok := synonyms[strings.ToLower(word)]
	if !ok {
		meant = nearest(strings.ToLower(word), names)
	}
	if meant != "" {
		hint = fmt.Sprintf("; did you mean %s?", meant)
	}
	return nil, nil, usagef("unknown command %q%s", shorten(word, 40), hint)
}

func named(all []*command, name string) *command {
	for _, c := range all {
		if c.name == name {
			return c
		}
	}
	return nil
}

// verbAt finds the first argument that is neither a flag nor the value of one, -1
// if there is none. Which flags take a value is known from all verbs together:
// the same name has the same shape everywhere. asked is "help" or "version" when
// such a flag stands there without a verb.
func verbAt(all []*command, args []string) (at int, asked string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			if i+1 < len(args) {
				return i + 1, ""
			}
			return -1, asked
		case a == "-" || !strings.HasPrefix(a, "-"):
			return i, ""
		case a == "-h" || a == "--help":
			asked = "help"
		case a == "--version":
			asked = "version"
		case takesNext(all, a):
			i++
		}
	}
	return -1, asked
}

// takesNext says whether the flag a takes the argument behind it as its value.
func takesNext(all []*command, a string) bool {
	long, isLong := strings.CutPrefix(a, "--")
	for _, c := range all {
		if isLong {
			if f := c.flags.Lookup(long); f != nil {
				return f.NoOptDefVal == ""
			}
			continue
		}
		for i := 1; i < len(a); i++ {
			f := c.flags.ShorthandLookup(a[i : i+1])
			if f == nil {
				break
			}
			if f.NoOptDefVal == "" {
				return i == len(a)-1
			}
		}
	}
	return false
}

// parse reads the flags of the verb, then the environment for those that were not
// given, then the file of settings for what is left. All errors but pflag.ErrHelp are usage
// errors, or say why the file cannot be read.
func (c *command) parse(args []string, getenv func(string) string) error {
	if err := c.flags.Parse(args); err != nil {
		return c.flagError(err)
	}
	c.flags.Visit(func(f *pflag.Flag) { c.typed = append(c.typed, f.Name) })
	var err error
	c.flags.VisitAll(func(f *pflag.Flag) {
		if value := getenv(envName(f.Name)); value != "" && !f.Changed && err == nil && c.general(f.Name) {
			err = c.setFromEnv(f, value)
		}
	})
	if err == nil {
		err = c.expandHome(getenv) // the file of settings may be named so
	}
	if err == nil && c.flags.Lookup("config") != nil && !c.ownFile {
		err = c.setFromFile(getenv)
	}
	if err == nil {
		err = c.expandHome(getenv)
	}
	if err != nil {
		return err
	}
	for _, p := range c.contrary {
		c.yield(p[0], p[1])
		c.yield(p[1], p[0])
	}
	return c.options.validate(c.flags)
}

// general says whether what is set for all commands, in the environment or at the top of the file of settings, counts for a flag of c.
func (c *command) general(flag string) bool { return !slices.Contains(c.own, flag) }

// yield makes a flag that is set for good what it is without that, if the command line has the other one.
func (c *command) yield(flag, to string) {
	f := c.flags.Lookup(flag)
	if f == nil || !f.Changed || c.given(flag) || !c.given(to) {
		return
	}
	if f.Value.Set(f.DefValue) == nil { // as all do of which there are pairs
		f.Changed = false
	}
}

// blame says of a mistake in a flag that nobody has typed where it comes from.
func (c *command) blame(err error) error {
	var usage *usageError
	if !errors.As(err, &usage) {
		return err
	}
	rest, ok := strings.CutPrefix(usage.text, "--")
	flag, _, _ := strings.Cut(rest, " ")
	if from := c.from[flag]; ok && from != "" && !c.given(flag) {
		return usagef("%s: %s", from, usage.text)
	}
	return err
}

// pathWords are the words of help for the values of flags that are paths.
var pathWords = []string{"PATH", "DIR", "FILE", "SOCKET"}

// expandHome makes ~/ at the beginning of a path the home folder: a shell does so with an argument, but neither with --flag=~/x nor with
// what stands in the file of settings, and without it there would be a folder called ~ wherever the command is given.
func (c *command) expandHome(getenv func(string) string) (err error) {
	expand := func(flag, value string) string {
		if value != "~" && !strings.HasPrefix(value, "~/") {
			return value
		}
		home := cmp.Or(getenv("HOME"), getenv("USERPROFILE"))
		if home == "" && err == nil {
			err = usagef("--%s %s: there is no HOME that says what ~ is; write the whole path, or ./%s", flag, value, value)
		}
		return home + value[1:]
	}
	c.flags.VisitAll(func(f *pflag.Flag) {
		if word, _ := pflag.UnquoteUsage(f); !slices.Contains(pathWords, word) {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			var out []string
			for _, v := range list.GetSlice() {
				out = append(out, expand(f.Name, v))
			}
			err = errors.Join(err, list.Replace(out))
			return
		}
		if old := f.Value.String(); strings.HasPrefix(old, "~") {
			err = errors.Join(err, f.Value.Set(expand(f.Name, old)))
		}
	})
	return err
}

// given says whether the flag stands on the command line, where Changed of a flag also counts the environment and the file of settings:
// what is set there for good must not make a verb refuse, or change what nobody named.
func (c *command) given(flag string) bool { return slices.Contains(c.typed, flag) }

// envName is the environment variable of a flag (rclone's rule).
func envName(flag string) string {
	return "SHARER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFromEnv sets a flag from its variable; a repeatable flag takes a list
// separated by commas, quoted as in CSV where an item holds a comma.
func (c *command) setFromEnv(f *pflag.Flag, value string) error {
	values := []string{value}
	if f.Value.Type() == "stringArray" {
		var err error
		if values, err = csv.NewReader(strings.NewReader(value)).Read(); err != nil {
			return usagef("%s=%q: %v", envName(f.Name), value, err)
		}
	}
	for _, v := range values {
		if err := c.flags.Set(f.Name, v); err != nil {
			if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
				err = errors.Unwrap(invalid)
			}
			return usagef("%s=%q: %v", envName(f.Name), v, err)
		}
	}
	c.from[f.Name] = envName(f.Name)
	return nil
}

// flagError words an error of pflag.
func (c *command) flagError(err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usagef("%s: %v; see sharer help %s", c.name, err, c.name)
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		return usagef("%s has no flag -%s; see sharer help %s", c.name, name, c.name)
	}
	var names []string
	c.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if meant := nearest(name, names); meant != "" {
		return usagef("%s has no flag --%s; did you mean --%s?", c.name, shorten(name, 40), meant)
	}
	return usagef("%s has no flag --%s; see sharer help %s", c.name, shorten(name, 40), c.name)
}
