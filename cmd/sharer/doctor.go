package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"sharer/config"
	"sharer/control"
	"sharer/node"
	"sharer/store"
)

func newDoctor() *command {
	c := newCommand("doctor", "", "look for what may keep sharer from working well")
	c.long = `Look at this machine, and at the daemon if it runs: ports and who has them, the clock, the
disk, limits of the system, the settings. Nothing is changed and nothing is sent. Each line says
what is there, and what to do about it if it is not well. The exit code is 1 if something keeps sharer
from working.`
	c.examples = "sharer doctor\nsharer doctor --json | jq '.checks[] | select(.state!=\"ok\")'"
	c.outputFlags()
	c.stateFlag()
	c.ownFile = true
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		_ = c.setFromFile(s.getenv) // what is wrong with it is one of the things that are looked at
		if err := errors.Join(c.expandHome(s.getenv), c.options.validate(c.flags)); err != nil {
			return err
		}
		return runDoctor(ctx, c.options, args, s)
	}
	return c
}

// Diagnoses of one check.
const (
	well  = "ok"
	worry = "warning" // it works, and could work better
	ill   = "bad"
)

// diagnosis is one thing that was looked at.
type diagnosis struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, warning, bad
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// doctorDocument is the answer to sharer doctor --json; the table is made from it too.
type doctorDocument struct {
	V      int         `json:"v"`
	Type   string      `json:"type"` // "doctor"
	Checks []diagnosis `json:"checks"`
}

// limits of what is well.
const (
	leastDisk    = 1 << 30 // bytes
	leastFiles   = 1024    // descriptors: 128 for seeded files, 32 trees, 2 for each of 64 downloads, sockets, watches
	leastWatches = 8192    // folders
	leastBuffer  = 4 << 20 // bytes: what a node asks of the system for what comes in
	leastMTU     = 1280    // bytes: what IPv6 promises
	httpPort     = 24255
)

func runDoctor(ctx context.Context, o *options, args []string, s *stdio) error {
	if len(args) > 0 {
		return usagef("doctor takes no arguments")
	}
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return err
	}
	doc := doctorDocument{V: 1, Type: "doctor"}
	add := func(d ...diagnosis) { doc.Checks = append(doc.Checks, d...) }
	daemon, status := lookAtDaemon(ctx, dir)
	add(lookAtState(dir), daemon)
	pid := 0
	if status != nil {
		pid = status.About.PID
		add(lookAtPeers(*status)...)
	}
	add(lookAtSettings(o, s), lookAtPort("udp", node.DefaultPort, pid), lookAtPort("tcp", httpPort, pid))
	add(lookAtClock(time.Now(), dir))
	add(lookAtSystem()...)
	add(lookAtMTU())
	bad := 0
	for _, d := range doc.Checks {
		if d.State == ill {
			bad++
		}
	}
	if o.json {
		writeEvent(s.out, doc)
	} else {
		doc.writeTable(o, s)
	}
	if bad > 0 {
		return &codedError{exitFailed, fmt.Errorf("%s found", count(bad, "fault"))}
	}
	return nil
}

func (d doctorDocument) writeTable(o *options, s *stdio) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, c := range d.Checks {
		if o.quiet && c.State == well {
			continue
		}
		text := c.Text
		if c.Remedy != "" {
			text += ". " + c.Remedy
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.State, c.Name, escape(text))
	}
	w.Flush()
}

// lookAtState looks whether the state folder can be written to, and at its disk.
func lookAtState(dir string) diagnosis {
	d := diagnosis{Name: "state", State: well, Text: dir}
	in := dir // what is there of it
	for _, err := os.Stat(in); errors.Is(err, os.ErrNotExist) && filepath.Dir(in) != in; _, err = os.Stat(in) {
		in = filepath.Dir(in)
	}
	f, err := os.CreateTemp(in, ".doctor-*")
	if err != nil {
		return diagnosis{d.Name, ill, fmt.Sprintf("%s cannot be written to: %s", dir, reason(err)), "Name another one: --state-dir DIR"}
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return diagnosis{d.Name, ill, err.Error(), ""}
	}
	if in != dir {
		d.Text += " is not there yet; the first seed makes it"
		return d
	}
	free, _, err := store.Space(dir)
	switch {
	case err != nil:
		d.Text += "; how much is free there this system does not tell"
	case free < leastDisk:
		d.State, d.Text, d.Remedy = worry, fmt.Sprintf("%s: only %s free", dir, formatSize(free)), "Free some, or name another one: --state-dir DIR"
	default:
		d.Text += ", " + formatSize(free) + " free"
	}
	return d
}

// lookAtDaemon asks who runs; status is nil if nobody answers.
func lookAtDaemon(ctx context.Context, dir string) (diagnosis, *control.Status) {
	d := diagnosis{Name: "daemon", State: well}
	c, err := control.Dial(ctx, dir)
	switch {
	case errors.Is(err, control.ErrNone):
		d.Text = "none runs; sharer daemon starts one"
		return d, nil
	case err != nil:
		return diagnosis{d.Name, ill, err.Error(), "Restart it: sharer daemon"}, nil
	}
	defer c.Close()
	st, err := c.Status(ctx)
	if err != nil {
		return diagnosis{d.Name, ill, err.Error(), "Restart it: sharer daemon"}, nil
	}
	d.Text = fmt.Sprintf("%s %s (pid %d) has been running for %s", serving(st.About), st.About.Release, st.About.PID, shortDuration(time.Duration(st.Uptime*float64(time.Second))))
	return d, &st
}

// lookAtPeers looks at what the daemon has met.
func lookAtPeers(st control.Status) (found []diagnosis) {
	d := diagnosis{Name: "peers", State: well, Text: fmt.Sprintf("%d met, %d that have not answered yet", st.Proven, st.Peers-st.Proven)}
	if st.Proven == 0 {
		d.State, d.Remedy = worry, "Is UDP blocked on the way out? Name a peer that is there: sharer peers add HOST:PORT"
	}
	found = append(found, d)
	for _, m := range st.Mappings {
		found = append(found, diagnosis{Name: "router", State: well, Text: m})
	}
	return found
}

// lookAtSettings looks at the file of settings.
func lookAtSettings(o *options, s *stdio) diagnosis {
	d := diagnosis{Name: "settings", State: well}
	path, named := o.configFile(s.getenv)
	f, err := config.Read(path, !named)
	switch {
	case path == "":
		d.Text = "no place for a file of settings"
	case err != nil:
		d.State, d.Text, d.Remedy = ill, err.Error(), "See sharer config check"
	default:
		d.Text = fmt.Sprintf("%s: %s", path, count(len(f.Settings), "setting"))
		if bad := checkSettings(f, commands()); len(bad) > 0 {
			d.State, d.Text, d.Remedy = ill, bad[0].Error(), "See sharer config check"
		}
	}
	return d
}

// lookAtPort finds who has a port; pid is our daemon's, 0 if none runs.
func lookAtPort(network string, port, pid int) diagnosis {
	d := diagnosis{Name: fmt.Sprintf("%s %d", network, port), State: well}
	owner, taken, err := portOwner(network, port)
	switch {
	case err != nil:
		d.Text = err.Error()
	case !taken:
		d.Text = "free"
	case owner.pid == pid && pid != 0:
		d.Text = "ours"
	case owner.pid == 0:
		d.State, d.Text, d.Remedy = worry, "taken by a process of another user", "A node that runs beside it uses any port, with that one as its first peer"
	default:
		d.State, d.Text = worry, fmt.Sprintf("taken by %s (pid %d)", owner.name, owner.pid)
		d.Remedy = "If that is another node of the swarm all is well: ours uses any port, with that one as its first peer"
	}
	if network == "tcp" && d.Remedy != "" {
		d.Remedy = "A node that runs beside it has no page for browsers, unless it gets another port: --http ADDR:PORT"
	}
	return d
}

// portUser is who has a port.
type portUser struct {
	pid  int // 0: of another user
	name string
}

// lookAtClock compares the clock with what must be past.
func lookAtClock(now time.Time, dir string) diagnosis {
	d := diagnosis{Name: "clock", State: well, Text: now.Format(time.RFC3339)}
	const slack = time.Minute
	for _, name := range []string{"index.db", "peers.json", "daemon.json"} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err == nil && fi.ModTime().After(now.Add(slack)) {
			return diagnosis{d.Name, ill, fmt.Sprintf("it is %s, and %s was written at %s", now.Format(time.RFC3339), name, fi.ModTime().Format(time.RFC3339)), "Set the clock: names that you publish are numbered by it"}
		}
	}
	if text := clockTrouble(); text != "" {
		d.State, d.Text, d.Remedy = worry, text, "Names that you publish are numbered by the clock: let the system set it (NTP)"
	}
	return d
}

// lookAtMTU looks at the interfaces that are up.
func lookAtMTU() diagnosis {
	d := diagnosis{Name: "mtu", State: well}
	ifaces, err := net.Interfaces()
	if err != nil {
		d.Text = err.Error()
		return d
	}
	var texts []string
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		texts = append(texts, fmt.Sprintf("%s %d", i.Name, i.MTU))
		if i.MTU < leastMTU {
			d.State, d.Remedy = worry, "Paths below 1280 bytes are slow"
		}
	}
	if d.Text = strings.Join(texts, ", "); d.Text == "" {
		d.State, d.Text = worry, "no network interface is up"
	}
	return d
}

// atLeast compares a limit of the system with what is wanted.
func atLeast(name string, have, want int64, text, remedy string) diagnosis {
	d := diagnosis{Name: name, State: well, Text: text}
	if have < want {
		d.State, d.Remedy = worry, remedy
	}
	return d
}
