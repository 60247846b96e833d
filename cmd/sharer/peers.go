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
	c := newCommand("peers", "", "list the peers that were met")
	c.long = `List the peers that the last node on this machine knew, from the snapshot that it keeps in
its state folder while it runs.`
	c.examples = "sharer peers --sort heard\nsharer peers --json | jq '.peers[] | select(.rtt_ms<100)'"
	o := &peersOptions{options: c.options}
	c.flags.StringVar(&o.sort, "sort", "rtt", "`ORDER`: rtt, heard or address")
	c.add(jsonFlag(&c.options.json))
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runPeers(o, args, s) }
	return c
}

func runPeers(o *peersOptions, args []string, s *stdio) error {
	if len(args) > 0 {
		return usagef("peers takes no arguments")
	}
	if !slices.Contains([]string{"rtt", "heard", "address"}, o.sort) {
		return usagef("--sort %q: want rtt, heard or address", o.sort)
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
		fmt.Fprintf(s.err, "no node has run with this state folder yet: there is no %s\n", escape(path))
		return nil
	}
	fmt.Fprintf(s.err, "%s, as of %s ago\n", count(len(doc.Peers), "peer"), shortDuration(time.Duration(*doc.Age)*time.Second))
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
