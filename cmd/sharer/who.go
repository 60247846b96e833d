package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sharer/identity"
	"sharer/node"
)

// recipient is whom a command speaks to: the holder of a key, or whoever is at an address.
type recipient struct {
	key  identity.PublicKey
	addr netip.AddrPort // if key is zero
}

// String is it as people type it.
func (r recipient) String() string {
	if r.key != (identity.PublicKey{}) {
		return "0x" + r.key.String()
	}
	return r.addr.String()
}

// short is it as people read it.
func (r recipient) short() string {
	if r.key != (identity.PublicKey{}) {
		return shortKey(r.key)
	}
	return r.addr.String()
}

// shortKey is the head of a key: 48 bits, which nobody imitates by chance, and few on purpose.
func shortKey(k identity.PublicKey) string { return "0x" + k.String()[:12] }

// isKey says whether text is meant as a key.
func isKey(text string) bool {
	return strings.HasPrefix(text, "0x") || len(text) == 64 && !strings.Contains(text, ":")
}

// parseRecipient reads KEY or HOST:PORT.
func parseRecipient(ctx context.Context, scr *screen, text string) (recipient, error) {
	if isKey(text) {
		k, err := identity.ParsePublicKey(text)
		if err != nil {
			return recipient{}, usagef("%q: %v", shorten(text, 80), err)
		}
		return recipient{key: k}, nil
	}
	addrs, err := resolve(ctx, scr, text)
	if err != nil {
		return recipient{}, err
	}
	return recipient{addr: addrs[0]}, nil
}

// showChats prints the messages that arrive while the node runs.
func showChats(p talker, scr *screen) {
	p.OnChat(func(c node.Chat) { showChat(scr, c, scr.note1) })
}

// showChat prints one message: for people by put.
func showChat(scr *screen, c node.Chat, put func(string)) {
	if scr.opts.json {
		e := chatEvent{V: 1, Type: "chat", From: c.From.String(), Text: c.Text, Time: c.At, Sealed: c.Sealed, Group: c.Group}
		if c.Key != (identity.PublicKey{}) {
			e.Key = c.Key.String()
		}
		scr.event(e)
		return
	}
	const most = 2048 // bytes of a stranger's message that one line may take
	group := ""
	if c.Group != "" {
		group = "#" + escape(shorten(c.Group, 64)) + " "
	}
	put(fmt.Sprintf("%s %s%s: %s", c.At.Format(time.TimeOnly), group, recipient{c.Key, c.From}.short(), escape(shorten(c.Text, most))))
}

// whoisOptions are the flags of whois.
type whoisOptions struct {
	*options
	timeout time.Duration
}

func newWhois() *command {
	c := newCommand("whois", "KEY", "find out where the holder of a key is")
	c.long = `Ask around where a key lives, and print its address. Proven means that its holder has signed, at that
address, what we asked to be signed; without that it is hearsay, and is not shown.`
	c.examples = "sharer whois 0xe13a..."
	o := &whoisOptions{options: c.options}
	c.flags.DurationVarP(&o.timeout, "timeout", "W", 20*time.Second, "give up after `TIME`")
	c.outputFlags()
	c.nodeFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runWhois(ctx, o, args, s) }
	return c
}

func runWhois(ctx context.Context, o *whoisOptions, args []string, s *stdio) error {
	if len(args) != 1 {
		return usagef("whois needs one key; see sharer help whois")
	}
	key, err := identity.ParsePublicKey(args[0])
	if err != nil {
		return usagef("%q: %v", shorten(args[0], 80), err)
	}
	if o.timeout <= 0 {
		return usagef("--timeout %s: want more than 0", o.timeout)
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	p, err := openSpeaker(ctx, o.options, scr)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Key() == key {
		return &codedError{exitFailed, errors.New("that is your own key")}
	}
	scr.note("looking for 0x%s", key)
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	place, err := p.Find(waiting, key)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, node.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
		return &codedError{exitNotFound, fmt.Errorf("nobody who was asked knows where 0x%s is, within %s", key, o.timeout)}
	case err != nil:
		return err
	}
	doc := whoisDocument{V: 1, Type: "whois", Key: key.String(), Addr: place.Addr.String(), Proven: place.Proven, First: place.First.UTC(), Seen: place.Seen.UTC()}
	if !place.Proved.IsZero() {
		at := place.Proved.UTC()
		doc.Proved = &at
	}
	for _, a := range place.Former {
		doc.Former = append(doc.Former, a.String())
	}
	if o.json {
		scr.event(doc)
		return nil
	}
	scr.result(doc.line(time.Now()))
	return nil
}

// line is the document for people.
func (d whoisDocument) line(now time.Time) string {
	age := func(t time.Time) string { return shortDuration(max(now.Sub(t), 0)) + " ago" }
	text := fmt.Sprintf("0x%s  %s", d.Key, d.Addr)
	if d.Proved != nil {
		text += "  proven " + age(*d.Proved)
	}
	text += fmt.Sprintf("  heard from %s, first %s", age(d.Seen), age(d.First))
	if len(d.Former) > 0 {
		text += "  before at " + strings.Join(d.Former, ", ")
	}
	return text
}
