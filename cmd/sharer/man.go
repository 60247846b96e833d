package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

func newMan() *command {
	c := newCommand("man", "DIR", "write the manual pages")
	c.long = `Write a manual page for sharer and one for each command into a folder, which is made if it is not
there: sharer.1, sharer-get.1, and so on.`
	c.examples = "sharer man ~/.local/share/man/man1\nsharer man . && man ./sharer-get.1"
	c.run = func(_ context.Context, args []string, s *stdio) error {
		if len(args) != 1 {
			return usagef("man needs the folder for the pages")
		}
		return runMan(args[0])
	}
	return c
}

func runMan(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return pathError(err)
	}
	all := commands()
	pages := map[string]string{"sharer": overviewPage(all)}
	for _, c := range all {
		pages["sharer-"+c.name] = c.page(all)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(text), 0o666); err != nil {
			return pathError(err)
		}
	}
	return nil
}

// roff is text as roff takes it literally: no backslash, dash, dot or quote means more than itself.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func pageHead(b *strings.Builder, name, short string) {
	fmt.Fprintf(b, ".TH %s 1 \"\" \"sharer %s\" \"sharer\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(name)), roff(release), roff(name), roff(short))
}

// overviewPage is sharer(1).
func overviewPage(all []*command) string {
	var b strings.Builder
	pageHead(&b, "sharer", "share files and folders with the peers of an LCDP swarm")
	b.WriteString(".SH SYNOPSIS\n.B sharer\n.I COMMAND\n[flags] [arguments]\n.SH DESCRIPTION\nShares files and folders, and fetches what others share. Every byte is verified against the id that was asked for.\n.SH COMMANDS\n")
	for _, c := range all {
		fmt.Fprintf(&b, ".TP\n.BR sharer\\-%s (1)\n%s\n", roff(c.name), roff(c.short))
	}
	b.WriteString(".SH ENVIRONMENT\nEach flag can be given in the environment: \\-\\-state\\-dir as SHARER_STATE_DIR; or in the file of settings, see\n.BR sharer\\-config (1).\n.SH EXIT STATUS\n")
	writeExits(&b)
	return b.String()
}

func writeExits(b *strings.Builder) {
	for _, n := range exitNames {
		fmt.Fprintf(b, ".TP\n.B %d\n%s\n", n.code, roff(n.help))
	}
}

// page is the page of one command, from what help says.
func (c *command) page(all []*command) string {
	var b strings.Builder
	pageHead(&b, "sharer-"+c.name, c.short)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B sharer %s\n", roff(c.name))
	if c.flags.HasFlags() {
		b.WriteString("[flags]\n")
	}
	if c.args != "" {
		fmt.Fprintf(&b, ".I %s\n", roff(c.args))
	}
	b.WriteString(".SH DESCRIPTION\n")
	for i, p := range strings.Split(strings.TrimSpace(c.long), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(p) + "\n")
	}
	if c.flags.HasFlags() {
		b.WriteString(".SH OPTIONS\n")
		c.flags.VisitAll(func(f *pflag.Flag) {
			word, text := pflag.UnquoteUsage(f)
			b.WriteString(".TP\n")
			if f.Shorthand != "" {
				fmt.Fprintf(&b, "\\fB\\-%s\\fR, ", f.Shorthand)
			}
			fmt.Fprintf(&b, "\\fB\\-\\-%s\\fR", roff(f.Name))
			if f.NoOptDefVal == "" {
				fmt.Fprintf(&b, " \\fI%s\\fR", roff(word))
			}
			fmt.Fprintf(&b, "\n%s\n", roff(text))
		})
	}
	b.WriteString(".SH EXAMPLES\n.nf\n" + roff(strings.TrimSpace(c.examples)) + "\n.fi\n.SH EXIT STATUS\n")
	writeExits(&b)
	b.WriteString(".SH SEE ALSO\n.BR sharer (1)")
	for _, o := range all {
		if o != c {
			fmt.Fprintf(&b, ",\n.BR sharer\\-%s (1)", roff(o.name))
		}
	}
	b.WriteByte('\n')
	return b.String()
}
