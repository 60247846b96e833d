package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

func newHelp() *command {
	c := newCommand("help", "[COMMAND]", "show this, or the help of a command")
	c.long = "Show what sharer can do, or how one command is used."
	c.examples = "sharer help get"
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runHelp(args, s) }
	return c
}

func runHelp(args []string, s *stdio) error {
	all := commands()
	switch len(args) {
	case 0:
		writeOverview(s.out, all)
		return nil
	case 1:
		c, _, err := findCommand(all, args)
		if err == nil && c != nil {
			c.writeHelp(s.out)
		}
		return err
	}
	return usagef("help takes one command")
}

// writeOverview is the answer to sharer help.
func writeOverview(w io.Writer, all []*command) {
	var b strings.Builder
	b.WriteString("sharer shares files and folders with the peers of an LCDP swarm, and fetches what\n" +
		"others share. Every byte is verified against the id that was asked for.\n\nUsage:\n  sharer COMMAND [flags] [arguments]\n\nCommands:\n")
	width := 0
	for _, c := range all {
		width = max(width, len(c.name))
	}
	for _, c := range all {
		fmt.Fprintf(&b, "  %-*s %s\n", width, c.name, c.short)
	}
	b.WriteString("\nsharer help COMMAND shows the flags of a command and examples.\n" +
		"Each flag can be given in the environment: --state-dir as SHARER_STATE_DIR.\n\nExit codes:\n")
	for _, n := range exitNames {
		fmt.Fprintf(&b, "  %3d  %s\n", n.code, n.help)
	}
	io.WriteString(w, b.String())
}

// writeHelp is the answer to sharer help COMMAND.
func (c *command) writeHelp(w io.Writer) {
	var own, common []*pflag.Flag
	c.flags.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(c.common, f.Name) {
			common = append(common, f)
		} else {
			own = append(own, f)
		}
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  sharer %s", strings.TrimSpace(c.long), c.name)
	if c.flags.HasFlags() {
		b.WriteString(" [flags]")
	}
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	b.WriteString("\n\nExamples:\n")
	for line := range strings.Lines(strings.TrimSpace(c.examples)) {
		b.WriteString("  " + line)
	}
	b.WriteString("\n")
	writeFlags(&b, "Flags", own)
	writeFlags(&b, "Common flags", common)
	io.WriteString(w, b.String())
}

const (
	helpWidth  = 96 // columns; narrower terminals wrap by themselves
	flagColumn = 33 // where the text of a flag begins
)

// writeFlags lists flags in the order in which they were declared.
func writeFlags(b *strings.Builder, title string, flags []*pflag.Flag) {
	if len(flags) == 0 {
		return
	}
	b.WriteString("\n" + title + ":\n")
	for _, f := range flags {
		word, text := pflag.UnquoteUsage(f)
		head := "      --" + f.Name
		if f.Shorthand != "" {
			head = "  -" + f.Shorthand + ", --" + f.Name
		}
		if f.NoOptDefVal == "" {
			head += " " + word
		}
		if zero := f.DefValue == "" || f.DefValue == "[]" || f.DefValue == "0" || f.DefValue == "false"; !zero && !strings.Contains(text, "(default") {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, "%-*s", flagColumn, head)
		column := flagColumn
		for i, w := range strings.Fields(text) {
			switch {
			case i == 0:
			case column+1+len(w) > helpWidth:
				b.WriteString("\n" + strings.Repeat(" ", flagColumn))
				column = flagColumn
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(w)
			column += len(w)
		}
		b.WriteByte('\n')
	}
}
