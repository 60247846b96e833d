// Command sharer shares files with the peers of an LCDP swarm.
//
// What it promises to those who call it:
//   - stdout carries results only: links, paths, hashes, content, JSON events.
//     Progress, notes and errors go to stderr.
//   - the exit codes of exit.go never change their meaning.
//   - with --json the last line on stdout is a summary or an error, with code and exit.
//   - what a stranger wrote reaches a terminal only through escape.
//
// Each verb has one file: newVerb registers its flags, runVerb(ctx, opts, args,
// io) does the work. The node is seen through the interface of peer.go, so that
// the verbs are tested without a network.
package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"sharer/daemon"
	"sharer/node"
)

// stdio is what a command sees of the process that it runs in. Tests hand in
// buffers and a fake node.
type stdio struct {
	in             io.Reader
	out, err       io.Writer
	outTTY, errTTY bool
	args           []string // as typed, without the name of the program
	getenv         func(string) string
	start          func(node.Config) (peer, error)
	open           func(daemon.Config) (peer, error)
	tell           <-chan os.Signal // each one asks for a line of progress at once; may be nil
}

func main() { os.Exit(int(process())) }

// process runs the command line of this process and returns its exit code.
func process() exit {
	boundGarbage()
	beBatch()
	ctx, stop := catchSignals()
	defer stop()
	tell, untell := catchTell()
	defer untell()
	return run(ctx, os.Args[1:], &stdio{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		outTTY: isTerminal(os.Stdout),
		errTTY: isTerminal(os.Stderr),
		getenv: os.Getenv,
		start:  startNode,
		open:   startDaemon,
		tell:   tell,
	})
}

// isTerminal is true of a terminal that has a size. Without one, as in some
// recorders and editors, no bar could be drawn: it is written to like a file.
func isTerminal(f *os.File) bool {
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0
}

// commands are all verbs, in the order in which help shows them.
func commands() []*command {
	return []*command{
		newDaemon(), newSeed(), newGet(), newOpen(), newList(),
		newInfo(), newRemove(), newPin(), newUnpin(),
		newPublish(), newHash(), newVerify(), newLink(), newPing(), newChat(), newPeers(),
		newKey(), newWhois(),
		newMirror(), newDeny(),
		newLimit(), newStatus(), newLog(),
		newConfig(), newDoctor(), newCompletion(), newMan(),
		newDemo(), newVersion(), newHelp(),
	}
}

// run finds the verb, parses its flags, runs it, and reports what became of it.
func run(ctx context.Context, args []string, s *stdio) exit {
	s.args = args
	out := &resultWriter{w: s.out}
	s.out = out
	if len(args) > 0 && args[0] == completeVerb {
		return runComplete(ctx, args[1:], s)
	}
	all := commands()
	c, rest, err := findCommand(all, args)
	if c == nil && err == nil { // help was asked for, without a verb
		writeOverview(s.out, all)
		return exitOf(ctx, out.err)
	}
	if err == nil {
		if err = c.parse(rest, s.getenv); errors.Is(err, pflag.ErrHelp) {
			c.writeHelp(s.out)
			return exitOf(ctx, out.err)
		}
	}
	if err == nil {
		err = c.run(ctx, c.flags.Args(), s)
		if err == nil && c.options.json && !out.used {
			writeEvent(s.out, endEvent{V: 1, Type: "summary", Code: exitDone.String()})
		}
		// A result that could not be written is a failure, unless there is a worse one.
		if err == nil && out.err != nil {
			err = out.err
		}
	}
	if c != nil {
		err = c.blame(err)
	}
	code := exitOf(ctx, err)
	if err != nil {
		report(ctx, c, args, s, err, code)
	}
	return code
}

// report prints the one line that says why the command failed and what can be
// done, and the last JSON event if events were asked for.
func report(ctx context.Context, c *command, args []string, s *stdio, err error, code exit) {
	opts := &options{color: "auto"}
	if c != nil {
		opts = c.options
	}
	text := message(ctx, err, code)
	if opts.json || hasJSON(args) { // flags behind one that is wrong were not parsed
		writeEvent(s.out, errorEvent{V: 1, Type: "error", Code: code.String(), Exit: int(code), Message: text})
	}
	if text != "" {
		io.WriteString(s.err, opts.paint(s, red, "sharer:")+" "+text+"\n")
	}
}

// broken says whether a write to stdout has failed, as when the program that read it has ended.
func (s *stdio) broken() bool {
	r, ok := s.out.(*resultWriter)
	return ok && r.err != nil
}

// resultWriter is stdout. It remembers the first failed write, so that a full
// disk behind a redirection is not taken for success.
type resultWriter struct {
	w    io.Writer
	used bool // something was written, or tried to
	err  error
}

func (r *resultWriter) Write(p []byte) (int, error) {
	r.used = true
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.w.Write(p)
	if err != nil {
		r.err = &outputError{err}
	}
	return n, err
}
