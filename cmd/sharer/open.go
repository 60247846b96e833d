package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"

	"sharer/control"
	"sharer/daemon"
	"sharer/gateway"
)

// openOptions are the flags of open.
type openOptions struct {
	*options
	player string
	print  bool
}

func newOpen() *command {
	c := newCommand("open", "LINK", "watch or read what a link names, while it arrives")
	c.long = `Hand the local web address of a content to the browser, or to a player: it is shown while it
arrives, and whoever jumps ahead gets that part first. The daemon serves it, or a running
sharer seed; without one this command does, until the player ends or Ctrl-C. The address is
printed on standard output.`
	c.examples = `sharer open lcdp://blake3/77ab.../film.webm
sharer open --player mpv blake3/77ab...`
	o := &openOptions{options: c.options}
	c.own = []string{"http"} // it is that of this command, which needs one
	c.flags.StringVar(&o.player, "player", "", "`PROGRAM` that shows it, instead of the browser")
	c.flags.BoolVar(&o.print, "print", false, "start nothing; print the address only")
	c.outputFlags()
	c.nodeFlags()
	c.mappingFlag()
	c.limitFlags()
	c.webFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runOpen(ctx, o, args, s) }
	return c
}

// openEvent is the address of a content.
type openEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "open"
	URL  string `json:"url"`
}

// runOpen finds who serves it, or serves it itself.
func runOpen(ctx context.Context, o *openOptions, args []string, s *stdio) (err error) {
	if len(args) != 1 {
		return usagef("open needs one link; see sharer help open")
	}
	path, err := gateway.PathOf(args[0])
	if err != nil {
		return usagef("link %q: %s", shorten(args[0], 100), strings.TrimPrefix(err.Error(), "link: "))
	}
	if o.http == "off" {
		return usagef("open needs HTTP; leave out --http off")
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	given, err := o.given(ctx, scr)
	if err != nil {
		return err
	}
	c, err := o.reach(ctx, s)
	if err != nil {
		return err
	}
	if c != nil {
		a := c.About()
		c.Give(given...)
		if !a.Web.IsValid() {
			return &codedError{exitDaemon, fmt.Errorf("%s (pid %d) answers no HTTP. Restart it with --http %s", serving(a), a.PID, defaultHTTP)}
		}
		return o.show(ctx, scr, a.Web, path, false)
	}
	config, err := o.nodeConfig(scr, given, true, false)
	if err != nil {
		return err
	}
	web := o.web()
	if web.Optional {
		web.Addr = "127.0.0.1:0" // whoever has the usual port keeps it
	}
	p, err := s.open(daemon.Config{Node: config, Foreground: "open", Release: release, Web: web})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	a, ok := p.(abouter)
	if !ok {
		return errors.New("the node answers no HTTP")
	}
	return o.show(ctx, scr, a.About().Web, path, true)
}

// show prints the address and hands it over. serves: it is only there while this process runs.
func (o *openOptions) show(ctx context.Context, scr *screen, at netip.AddrPort, path string, serves bool) error {
	url := "http://" + at.String() + path
	if o.json {
		scr.event(openEvent{1, "open", url})
	} else {
		scr.result(url)
	}
	switch {
	case o.player != "":
		return play(ctx, scr, o.player, url)
	case !o.print:
		b := browser(url)
		if err := runProgram(exec.CommandContext(ctx, b[0], b[1:]...)); err != nil && ctx.Err() == nil {
			scr.note("no browser could be started (%v); open the address yourself", err)
		}
	}
	if serves {
		scr.note("serving it until Ctrl-C; sharer daemon serves it without that")
		<-ctx.Done()
	}
	return nil
}

// browser is the command that opens an address on this system.
func browser(url string) []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"open", url}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", url}
	}
	return []string{"xdg-open", url}
}

// runProgram runs a program that is for people to look at.
func runProgram(cmd *exec.Cmd) error {
	if err := interactive(cmd.Start); err != nil {
		return err
	}
	return cmd.Wait()
}

// play runs a player until it ends.
func play(ctx context.Context, scr *screen, player, url string) error {
	cmd := exec.CommandContext(ctx, player, url)
	cmd.Stdout, cmd.Stderr = scr.s.err, scr.s.err // standard output is the address
	err := runProgram(cmd)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("there is no program %s. Name another one with --player", quoteShell(player))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", player, err)
	}
	return nil
}

var _ abouter = (*control.Client)(nil)
