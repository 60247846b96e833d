package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// peersDocument is the answer to peers --json; the table is made from it too.
type peersDocument struct {
	V     int       `json:"v"`
	Type  string    `json:"type"` // "peers"
	Saved time.Time `json:"saved,omitzero"`
	Age   *float64  `json:"age_s,omitempty"` // of the snapshot; left out if there is none
	Peers []peerRow `json:"peers"`
}

// peerRow is one peer of the snapshot.
type peerRow struct {
	Address    string    `json:"address"`
	Proven     *bool     `json:"proven,omitempty"` // of the daemon's: it has answered in this run
	Given      bool      `json:"given,omitempty"`
	Banned     bool      `json:"banned,omitempty"`
	RTT        *float64  `json:"rtt_ms,omitempty"` // left out if it was never measured
	FirstHeard time.Time `json:"first_heard,omitzero"`
	LastHeard  time.Time `json:"last_heard,omitzero"`
}

// peersOptions are the flags of peers.
type peersOptions struct {
	*options
	sort string
}

func newPeers() *command {
	c := newCommand("peers", "[add HOST:PORT... | rm HOST:PORT | ban ADDR|CIDR|KEY | unban ADDR|CIDR|KEY | bans]", "list the peers that were met, add and ban some")
	c.long = `List the peers that the daemon knows, or without one those that the last node on this machine
knew, from the snapshot that it keeps in its state folder while it runs.

add has a peer asked for ever, also after restarts of the daemon, until rm. ban has the addresses of a network
neither asked nor answered until unban; bans lists them. The holder of a key is banned by the own deny list, which
sharer deny ls shows.`
	c.examples = "sharer peers add 192.0.2.7:24254\nsharer peers ban 198.51.100.0/24\nsharer peers --sort heard\nsharer peers --json | jq '.peers[] | select(.rtt_ms<100)'"
	o := &peersOptions{options: c.options}
	c.flags.StringVar(&o.sort, "sort", "rtt", "`ORDER`: rtt, heard or address")
	c.outputFlags()
	c.stateFlag()
	c.add(daemonFlag(&c.options.daemon))
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runPeers(ctx, o, args, s) }
	return c
}

func runPeers(ctx context.Context, o *peersOptions, args []string, s *stdio) error {
	if len(args) > 0 {
		return changePeers(ctx, o, args, s)
	}
	if !slices.Contains([]string{"rtt", "heard", "address"}, o.sort) {
		return usagef("--sort %q: want rtt, heard or address", o.sort)
	}
	c, err := o.reach(ctx, s)
	if err != nil {
		return err
	}
	if c != nil {
		defer c.Close()
		return livePeers(ctx, o, c, s)
	}
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "peers.json")
	doc := peersDocument{V: 1, Type: "peers", Peers: []peerRow{}}
	switch rows, saved, err := readPeers(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return pathError(err)
	default:
		age := max(time.Since(saved), 0).Round(time.Second).Seconds()
		doc.Saved, doc.Age, doc.Peers = saved.UTC(), &age, append(doc.Peers, rows...)
	}
	sortPeers(doc.Peers, o.sort)
	if o.json {
		writeEvent(s.out, doc)
		return nil
	}
	if doc.Age == nil {
		if !o.quiet {
			fmt.Fprintf(s.err, "no node has run with this state folder yet: there is no %s\n", escape(path))
		}
		return nil
	}
	if !o.quiet {
		fmt.Fprintf(s.err, "%s, as of %s ago\n", count(len(doc.Peers), "peer"), shortDuration(time.Duration(*doc.Age)*time.Second))
	}
	doc.writeTable(s)
	return nil
}

// sortPeers orders peers; those without a measured time come last, ties go by address.
func sortPeers(rows []peerRow, by string) {
	slices.SortFunc(rows, func(a, b peerRow) int {
		switch {
		case by == "rtt" && a.RTT != nil && b.RTT != nil && *a.RTT != *b.RTT:
			if *a.RTT < *b.RTT {
				return -1
			}
			return 1
		case by == "rtt" && (a.RTT == nil) != (b.RTT == nil):
			if a.RTT != nil {
				return -1
			}
			return 1
		case by == "heard" && !a.LastHeard.Equal(b.LastHeard):
			return b.LastHeard.Compare(a.LastHeard)
		}
		return strings.Compare(a.Address, b.Address)
	})
}

// writeTable prints the document as a table.
func (d peersDocument) writeTable(s *stdio) {
	if len(d.Peers) == 0 {
		return
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "ADDRESS\tRTT\tHEARD\tKNOWN FOR\n")
	for _, p := range d.Peers {
		rtt := "-"
		if p.RTT != nil {
			rtt = fmt.Sprintf("%.1f ms", *p.RTT)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", escape(p.Address), rtt, ago(d.Saved, p.LastHeard), ago(d.Saved, p.FirstHeard))
	}
	w.Flush()
}

// ago is how long before the snapshot something was.
func ago(saved, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return shortDuration(max(saved.Sub(t), 0))
}
