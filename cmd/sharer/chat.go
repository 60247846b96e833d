package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"sharer/identity"
	"sharer/node"
)

// chatOptions are the flags of chat.
type chatOptions struct {
	*options
	to, group string
	timeout   time.Duration
	stay      time.Duration
}

func newChat() *command {
	c := newCommand("chat", "[--to KEY|HOST:PORT | --group NAME] [TEXT]", "talk with people")
	c.long = `Talk with one person, by key or by address, or with everybody whose key is known, in a group. With TEXT one
message is sent. Without it each line is one: on a terminal as you type them, while what others say
appears above, until Ctrl-D; else from standard input, one message a line, until its end.

To a key nothing is sent but sealed, so that nobody else can read it. To an address it is sealed if a key is
known to live there, and the answer says so. A group's message is sealed for each who gets it; everybody can be one of them.`
	c.examples = `sharer chat
sharer chat --group main "the mirror is up"
sharer chat --to 0xe13a... "the mirror is up"
tail -f events.log | sharer chat --to 192.0.2.7:24254`
	o := &chatOptions{options: c.options}
	f := c.flags
	c.contrary = append(c.contrary, pair{"to", "group"})
	f.StringVar(&o.to, "to", "", "`KEY|HOST:PORT` of whom you talk with")
	f.StringVar(&o.group, "group", "main", "`NAME` of the group")
	f.DurationVarP(&o.timeout, "timeout", "W", 10*time.Second, "give up a message after `TIME` without a sign that it has arrived")
	f.DurationVar(&o.stay, "stay", 0, "show what others say for `TIME` after the end of standard input")
	c.outputFlags()
	c.nodeFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		if o.to != "" && c.given("group") {
			return usagef("--to and --group contradict each other")
		}
		return runChat(ctx, o, args, s)
	}
	return c
}

// maxChat is the longest text in bytes: with its message around it, and with every
// byte escaped as \u00XX, it stays below one datagram of the customary size.
const maxChat = 900

// groupsAtOnce is how many messages of a group are on their way at the same time: each is repeated for a while.
const groupsAtOnce = 16

// checkText refuses what cannot be said.
func checkText(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return usagef("chat needs a text; see sharer help chat")
	case !utf8.ValidString(text):
		return usagef("the text is not UTF-8")
	case len(text) > maxChat:
		return usagef("the text has %d bytes, at most %d fit", len(text), maxChat)
	}
	return nil
}

func (o *chatOptions) check() error {
	switch {
	case o.timeout <= 0:
		return usagef("--timeout %s: want more than 0", o.timeout)
	case o.stay < 0:
		return usagef("--stay %s: want 0 or more", o.stay)
	case o.to == "" && (strings.TrimSpace(o.group) == "" || len(o.group) > 64 || !utf8.ValidString(o.group)):
		return usagef("--group %q: want 1 to 64 bytes", shorten(o.group, 80))
	}
	return nil
}

// runChat sends one message, or one for each line.
func runChat(ctx context.Context, o *chatOptions, args []string, s *stdio) error {
	text := strings.Join(args, " ")
	if err := o.check(); err != nil {
		return err
	}
	if len(args) > 0 {
		if err := checkText(text); err != nil {
			return err
		}
	}
	c := &conversation{o: o}
	var lines lineReader
	if len(args) == 0 {
		var restore func()
		lines, s, restore = linesOf(s)
		defer restore()
	}
	c.scr = newScreen(o.options, s)
	defer c.scr.close()
	if o.to != "" {
		var err error
		if c.to, err = parseRecipient(ctx, c.scr, o.to); err != nil {
			return err
		}
	}
	p, err := openSpeaker(ctx, o.options, c.scr)
	if err != nil {
		return err
	}
	defer p.Close()
	c.peer = p
	if len(args) > 0 {
		c.scr.note("waiting for %s", c.whom())
		if err := c.say(ctx, text); err != nil {
			return err
		}
	} else if err := c.talk(ctx, lines); err != nil {
		return err
	}
	if o.json {
		c.scr.event(endEvent{V: 1, Type: "summary", Code: exitDone.String()})
	}
	return nil
}

// conversation is one run of chat.
type conversation struct {
	o    *chatOptions
	scr  *screen
	peer interface {
		talker
		person
	}
	to recipient // zero: the group
}

func (c *conversation) whom() string {
	if c.to == (recipient{}) {
		return "group " + escape(c.o.group)
	}
	return c.to.String()
}

// say sends one message, and tells what became of it.
func (c *conversation) say(ctx context.Context, text string) error {
	waiting, cancel := context.WithTimeout(ctx, c.o.timeout)
	defer cancel()
	said, err := c.send(waiting, text)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, node.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
		if c.to == (recipient{}) {
			return &codedError{exitFailed, fmt.Errorf("it reached nobody within %s: %s", c.o.timeout, known(said))}
		}
		return &codedError{exitFailed, fmt.Errorf("no answer from %s within %s: not sent", c.to, c.o.timeout)}
	case err != nil:
		return err
	}
	e := chatEvent{V: 1, Type: "chat", To: c.to.String(), Text: text, Time: time.Now(), Sealed: said.Key != (identity.PublicKey{})}
	switch {
	case c.to == (recipient{}):
		e.To, e.Group, e.Known, e.Delivered, e.Sealed = "", c.o.group, said.Known, said.Delivered, true
		c.scr.detail("%d of %d have it", said.Delivered, said.Known)
	case e.Sealed:
		e.Key = said.Key.String()
		c.scr.note("sent to %s, sealed for %s", c.to.short(), shortKey(said.Key))
	default:
		c.scr.note("sent to %s, not sealed: it has shown no key", c.to)
	}
	if c.o.json {
		c.scr.event(e)
	}
	return nil
}

func known(s node.Said) string {
	if s.Known == 0 {
		return "no key of a peer is known"
	}
	return fmt.Sprintf("%s known", count(s.Known, "key"))
}

func (c *conversation) send(ctx context.Context, text string) (node.Said, error) {
	switch {
	case c.to == (recipient{}):
		return c.peer.SayAll(ctx, c.o.group, text)
	case c.to.key != (identity.PublicKey{}):
		return c.peer.Say(ctx, c.to.key, text)
	}
	return c.peer.Chat(ctx, c.to.addr, text)
}

// talk sends each line, and shows what others say, until the lines end or ctx does. A line that could not be sent is told, and
// the last such error is the result.
func (c *conversation) talk(ctx context.Context, lines lineReader) error {
	c.peer.OnChat(func(m node.Chat) { showChat(c.scr, m, c.scr.result) })
	c.scr.note("you are %s, talking with %s. Ctrl-D to end", shortKey(c.peer.Key()), c.whom())
	next := make(chan string)
	ended := make(chan error, 1)
	go func() { // not waited for: nothing ends a read of standard input but its end
		for {
			line, err := lines.ReadLine()
			if err != nil {
				ended <- err
				return
			}
			select {
			case next <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	slots := 1 // so that one person hears it in order
	if c.to == (recipient{}) {
		slots = groupsAtOnce
	}
	var last error
	results := make(chan error, slots)
	running := 0
	for {
		from := next
		if running == slots {
			from = nil
		}
		select {
		case <-ctx.Done():
			for ; running > 0; running-- {
				<-results
			}
			return ctx.Err()
		case err := <-results:
			running--
			last = c.told(err, last)
		case line := <-from:
			if strings.TrimSpace(line) == "" {
				continue
			}
			if err := checkText(line); err != nil {
				last = c.told(err, last)
				continue
			}
			running++
			go func() { results <- c.say(ctx, line) }()
		case err := <-ended:
			for ; running > 0; running-- {
				last = c.told(<-results, last)
			}
			if !errors.Is(err, io.EOF) {
				return fmt.Errorf("standard input: %w", err)
			}
			return c.linger(ctx, last)
		}
	}
}

// told shows an error of one message, and keeps it as the last one.
func (c *conversation) told(err, last error) error {
	if err == nil {
		return last
	}
	c.scr.fail(warningEvent{Message: escape(err.Error())})
	return &codedError{exitSome, errors.New("some messages were not sent")}
}

// linger goes on showing what others say, as --stay tells.
func (c *conversation) linger(ctx context.Context, last error) error {
	if c.o.stay == 0 {
		return last
	}
	end := time.NewTimer(c.o.stay)
	defer end.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-end.C:
		return last
	}
}

// lineReader gives one message after another; io.EOF is the end.
type lineReader interface{ ReadLine() (string, error) }

// linesOf reads lines from standard input. On a terminal it is an editor, and the stdio that it returns writes above the line that
// is being typed; restore makes the terminal what it was.
func linesOf(s *stdio) (lines lineReader, out *stdio, restore func()) {
	in, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || !s.outTTY {
		return newPipeLines(s.in), s, func() {}
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return newPipeLines(s.in), s, func() {}
	}
	t, out := editorOf(s, struct {
		io.Reader
		io.Writer
	}{in, s.out})
	if width, height, err := term.GetSize(int(in.Fd())); err == nil {
		_ = t.SetSize(width, height) // of no consequence but for how long lines look
	}
	return t, out, func() { _ = term.Restore(int(in.Fd()), old) } // nothing can be done about it on the way out
}

// editorOf is a line editor on a terminal, and a stdio that writes above the line that is being typed.
func editorOf(s *stdio, rw io.ReadWriter) (*term.Terminal, *stdio) {
	t := term.NewTerminal(rw, "> ")
	out := *s
	out.out, out.err, out.errTTY = t, t, false
	return t, &out
}
