package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sharer/node"
)

// chatOptions are the flags of chat.
type chatOptions struct {
	*options
	to      string
	timeout time.Duration
}

func newChat() *command {
	c := newCommand("chat", "--to HOST:PORT TEXT", "send a line of text to a peer")
	c.long = `Send a line of text to a peer. Who runs a foreground node there (seed, get) sees it on the
terminal. It is neither private nor signed.`
	c.examples = "sharer chat --to 192.0.2.7:24254 \"the mirror is up\""
	o := &chatOptions{options: c.options}
	f := c.flags
	f.StringVar(&o.to, "to", "", "`HOST:PORT` of the peer")
	f.DurationVarP(&o.timeout, "timeout", "W", 10*time.Second, "give up after `TIME` without an answer")
	c.outputFlags()
	c.nodeFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runChat(ctx, o, args, s) }
	return c
}

// maxChat is the longest text in bytes: with its message around it, and with every
// byte escaped as \u00XX, it stays below one datagram of the customary size.
const maxChat = 900

// runChat sends one message and ends when it is on its way to a peer that answers.
func runChat(ctx context.Context, o *chatOptions, args []string, s *stdio) error {
	text := strings.Join(args, " ")
	switch {
	case o.to == "":
		return usagef("chat needs --to HOST:PORT; see sharer help chat")
	case strings.TrimSpace(text) == "":
		return usagef("chat needs a text; see sharer help chat")
	case !utf8.ValidString(text):
		return usagef("the text is not UTF-8")
	case len(text) > maxChat:
		return usagef("the text has %d bytes, at most %d fit", len(text), maxChat)
	case o.timeout <= 0:
		return usagef("--timeout %s: want more than 0", o.timeout)
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	addrs, err := resolve(ctx, scr, o.to)
	if err != nil {
		return err
	}
	to := addrs[0]
	p, err := openPeer(ctx, o.options, scr, false, false)
	if err != nil {
		return err
	}
	defer p.Close()
	scr.note("waiting for %s", to)
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	_, err = p.Chat(waiting, to, text)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, node.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
		return &codedError{exitFailed, fmt.Errorf("no answer from %s within %s: not sent", to, o.timeout)}
	case err != nil:
		return err
	}
	scr.note("sent to %s", to)
	if o.json {
		scr.event(chatEvent{V: 1, Type: "chat", To: to.String(), Text: text, Time: time.Now()})
		scr.event(endEvent{V: 1, Type: "summary", Code: exitDone.String()})
	}
	return nil
}
