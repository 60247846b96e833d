package main

import (
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sharer/daemon"
	"sharer/gateway"
	"sharer/internal/portmap"
)

// options are the flags that several verbs share. A verb has those that mean
// something for it, see the adders below.
type options struct {
	json, quiet bool
	verbose     int
	color       string // auto, always, never
	progress    string // auto, bar, line, none
	interval    time.Duration
	intervalSet bool // by a flag or the environment
	logFormat   string
	logLevel    *slog.LevelVar // of the logger that was made; nil: none was
	watch       bool           // what is seeded is watched
	rescan      time.Duration  // of a folder that cannot be watched
	stateDir    string         // never empty after validate
	config      string         // of --config; empty: the usual place
	listen      []string
	peers       []string
	isolated    bool
	mapping     string // auto, off, or the address of the router; empty: the verb asks no router
	bwlimit     rateLimit
	bwlimitPeer rateLimit
	background  bool
	detach      bool
	http        string // ADDR:PORT or off; empty: the verb answers no HTTP
	httpHosts   []string
	httpOrigins []string
	httpSet     bool
	storeQuota  byteSize
	daemon      string // auto, require, never
}

// outputFlags are those of every verb that prints results.
func (c *command) outputFlags() {
	o := c.options
	c.add(func(fs *pflag.FlagSet) {
		fs.BoolVar(&o.json, "json", false, "print JSON, one event a line")
		fs.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but results and errors")
		fs.StringVar(&o.color, "color", "auto", "`WHEN` to use colours: auto, always, never; NO_COLOR is obeyed")
		fs.StringVar(&o.config, "config", "", "`FILE` of settings; sharer config path says which is the default")
	})
}

// progressFlags are those of the verbs that work for a long time.
func (c *command) progressFlags() {
	o := c.options
	c.add(func(fs *pflag.FlagSet) {
		fs.StringVar(&o.progress, "progress", "auto", "`HOW` progress is shown: auto, bar, line, none")
		fs.DurationVar(&o.interval, "progress-interval", time.Second, "`TIME` between status events; plain lines take it only if given, else 60s")
	})
}

// stateFlag is that of the verbs that read or keep state.
func (c *command) stateFlag() {
	c.add(func(fs *pflag.FlagSet) {
		fs.StringVar(&c.options.stateDir, "state-dir", "", "`DIR` of index and peers (default $XDG_STATE_HOME/sharer, else ~/.local/state/sharer)")
	})
}

// nodeFlags are those of the verbs that start a node.
func (c *command) nodeFlags() {
	o := c.options
	c.stateFlag()
	c.add(func(fs *pflag.FlagSet) {
		fs.StringArrayVar(&o.listen, "listen", nil, "UDP `ADDR:PORT` to listen on, repeatable (default :24254)")
		fs.StringArrayVar(&o.peers, "peer", nil, "`HOST:PORT` of a peer that is asked first, repeatable")
		fs.BoolVar(&o.isolated, "isolated", false, "stay on loopback and the own subnets: no bootstrap, no announcements")
		fs.CountVarP(&o.verbose, "verbose", "v", "say more; twice: much more")
		daemonFlag(&o.daemon)(fs)
		fs.StringVar(&o.logFormat, "log-format", "text", "`FORMAT` of the node's log lines on stderr: text, json")
	})
}

// mappingFlag is that of the verbs whose node lives long.
func (c *command) mappingFlag() {
	c.add(func(fs *pflag.FlagSet) {
		fs.StringVar(&c.options.mapping, "port-mapping", "auto", "`ROUTER` that is asked to open the port: auto, off, or its address")
	})
}

// defaultHTTP is where the swarm's pages expect a node (wire.md section 1).
const defaultHTTP = "127.0.0.1:24255"

// webFlags are those of the verbs whose node answers browsers.
func (c *command) webFlags() {
	o := c.options
	o.storeQuota = 20 << 30
	c.add(func(fs *pflag.FlagSet) {
		fs.StringVar(&o.http, "http", defaultHTTP, "`ADDR:PORT` of the node's page, contents and bridge for browsers, or off")
		fs.StringArrayVar(&o.httpHosts, "http-host", nil, "further `NAME:PORT` that HTTP answers to, for contents that are held; repeatable")
		fs.StringArrayVar(&o.httpOrigins, "http-origin", nil, "`SITE`, as https://azai.net, whose pages may use the node; repeatable")
		fs.Var(&o.storeQuota, "store-quota", "what browsers fetch and upload may take on disk; 0: no limit")
	})
}

// web is what those say.
func (o *options) web() daemon.Web {
	if o.http == "off" || o.http == "" {
		return daemon.Web{}
	}
	return daemon.Web{Addr: o.http, Optional: !o.httpSet, Hosts: o.httpHosts, Origins: o.httpOrigins}
}

// daemonFlag registers --daemon.
func daemonFlag(p *string) func(*pflag.FlagSet) {
	return func(fs *pflag.FlagSet) {
		fs.StringVar(p, "daemon", "auto", "`WHEN` a daemon does the work: auto, require, never")
	}
}

// limitFlags are those of the verbs whose node moves content.
func (c *command) limitFlags() {
	o := c.options
	c.add(func(fs *pflag.FlagSet) {
		fs.Var(&o.bwlimit, "bwlimit", "limits in bytes a second: 2M:512K, off:1M, or 1M for both; 0: nothing (default off)")
		fs.Var(&o.bwlimitPeer, "bwlimit-peer", "the same limits for each peer (default off)")
		fs.BoolVar(&o.background, "background", false, "give way to everything else on the link when fetching")
	})
}

// rescanFlag is that of the verbs that watch what is seeded.
func (c *command) rescanFlag() {
	c.add(func(fs *pflag.FlagSet) {
		fs.DurationVar(&c.options.rescan, "rescan", time.Minute, "`TIME` between two looks at all of a folder that the system cannot watch")
	})
}

// transferFlags are those of the verbs that move content, by a node of their own or by the daemon.
func (c *command) transferFlags() {
	o := c.options
	c.limitFlags()
	c.add(func(fs *pflag.FlagSet) {
		fs.BoolVarP(&o.detach, "detach", "d", false, "hand the work to the daemon and return")
	})
}

// add registers shared flags and remembers their names for help.
func (c *command) add(register func(*pflag.FlagSet)) {
	fs := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	fs.SortFlags = false
	register(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		f.Usage = strings.TrimSpace(f.Usage)
		c.common = append(c.common, f.Name)
	})
	c.flags.AddFlagSet(fs)
}

// validate checks what pflag cannot.
func (o *options) validate(fs *pflag.FlagSet) error {
	oneOf := func(flag, value string, words ...string) error {
		f := fs.Lookup(flag)
		if f == nil {
			return nil
		}
		for _, w := range words {
			if value == w {
				return nil
			}
		}
		return usagef("--%s %q: want %s", flag, value, strings.Join(words, ", "))
	}
	for _, err := range []error{
		oneOf("color", o.color, "auto", "always", "never"),
		oneOf("progress", o.progress, "auto", "bar", "line", "none"),
		oneOf("daemon", o.daemon, "auto", "require", "never"),
		oneOf("log-format", o.logFormat, "text", "json"),
	} {
		if err != nil {
			return err
		}
	}
	if f := fs.Lookup("progress-interval"); f != nil {
		o.intervalSet = f.Changed
		if o.interval <= 0 {
			return usagef("--progress-interval %s: want more than 0", o.interval)
		}
	}
	if f := fs.Lookup("http"); f != nil {
		o.httpSet = f.Changed
		if a, err := netip.ParseAddrPort(o.http); o.http != "off" && (err != nil || a.Addr().IsMulticast()) {
			return usagef("--http %q: want ADDR:PORT with a numeric address, such as %s, or off", shorten(o.http, 80), defaultHTTP)
		}
	}
	for i, text := range o.httpOrigins {
		site, err := gateway.Site(text)
		if err != nil {
			return usagef("--http-origin %q: want a site such as https://azai.net", shorten(text, 80))
		}
		o.httpOrigins[i] = site
	}
	if fs.Lookup("rescan") != nil && o.rescan < time.Second {
		return usagef("--rescan %s: want a second or more", o.rescan)
	}
	if f := fs.Lookup("port-mapping"); f != nil {
		if _, err := o.router(); err != nil {
			return err
		}
	}
	for _, l := range o.listen {
		if err := checkListen(l); err != nil {
			return err
		}
	}
	for _, p := range o.peers {
		if _, _, err := splitHostPort(p); err != nil {
			return usagef("--peer %q: %v", shorten(p, 80), err)
		}
	}
	return nil
}

// router is what --port-mapping says; nil: nobody is asked.
func (o *options) router() (*portmap.Config, error) {
	switch o.mapping {
	case "", "off":
		return nil, nil
	case "auto":
		return &portmap.Config{}, nil
	}
	a, err := netip.ParseAddr(o.mapping)
	if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
		return nil, usagef("--port-mapping %q: want auto, off, or the address of the router", shorten(o.mapping, 80))
	}
	return &portmap.Config{Gateway: a}, nil
}

// checkListen takes ADDR:PORT and :PORT; port 0 lets the system choose.
func checkListen(text string) error {
	full := text
	if strings.HasPrefix(text, ":") {
		full = "0.0.0.0" + text
	}
	if _, err := netip.ParseAddrPort(full); err != nil {
		return usagef("--listen %q: want ADDR:PORT with a numeric address, or :PORT", shorten(text, 80))
	}
	return nil
}

// stateFolder is --state-dir or its default.
func (o *options) stateFolder(getenv func(string) string) (string, error) {
	if o.stateDir != "" {
		return o.stateDir, nil
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sharer"), nil
	}
	for _, home := range []string{getenv("HOME"), getenv("USERPROFILE")} {
		if home != "" {
			return filepath.Join(home, ".local", "state", "sharer"), nil
		}
	}
	return "", usagef("cannot tell where the home folder is; use --state-dir DIR")
}

// log is the logger of the node: errors with -q, warnings by default, more with -v.
func (o *options) log(w io.Writer) *slog.Logger {
	o.logLevel = new(slog.LevelVar)
	o.logLevel.Set(o.level())
	handler := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, handler))
	}
	return slog.New(slog.NewTextHandler(w, handler))
}

// colour is an SGR sequence.
type colour string

const (
	red    colour = "\x1b[1;31m"
	yellow colour = "\x1b[1;33m"
	green  colour = "\x1b[32m"
)

// paint colours text that goes to stderr, if colours are wanted there.
func (o *options) paint(s *stdio, c colour, text string) string {
	return o.paintFor(s.errTTY, s, c, text)
}

func (o *options) paintFor(tty bool, s *stdio, c colour, text string) string {
	on := o.color == "always"
	if o.color == "auto" {
		on = tty && s.getenv("NO_COLOR") == "" && s.getenv("TERM") != "dumb"
	}
	if !on {
		return text
	}
	return string(c) + text + "\x1b[0m"
}
