package main

import (
	"context"
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// release is the version of this source tree.
const release = "0.1.0-dev"

// versionDocument is the answer to sharer version --json.
type versionDocument struct {
	V        int    `json:"v"`
	Type     string `json:"type"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the version control system, if it was built from there
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func newVersion() *command {
	c := newCommand("version", "", "print the version")
	c.long = "Print the version of sharer, and what it was built with."
	c.examples = "sharer version\nsharer version --json\nsharer version --licences"
	all := c.flags.Bool("licences", false, "print the licences of all that is inside")
	c.add(jsonFlag(&c.options.json))
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		if *all && len(args) == 0 {
			return printLicences(c.options, s)
		}
		return runVersion(c.options, args, s)
	}
	return c
}

// licences are those of the modules that the program is built from, of Go, and ours: a line "== MODULE VERSION" and the text of
// each. A test makes and checks it.
//
//go:embed licences.txt
var licences string

// licencesDocument is the answer to sharer version --licences --json.
type licencesDocument struct {
	V        int          `json:"v"`
	Type     string       `json:"type"` // "licences"
	Licences []licenceRow `json:"licences"`
}

type licenceRow struct {
	Module string `json:"module"`
	Text   string `json:"text"`
}

func printLicences(o *options, s *stdio) error {
	if !o.json {
		fmt.Fprint(s.out, licences)
		return nil
	}
	doc := licencesDocument{V: 1, Type: "licences"}
	for _, part := range strings.Split("\n"+licences, "\n== ")[1:] {
		module, text, _ := strings.Cut(part, "\n")
		doc.Licences = append(doc.Licences, licenceRow{module, strings.TrimSpace(text)})
	}
	writeEvent(s.out, doc)
	return nil
}

func runVersion(o *options, args []string, s *stdio) error {
	if len(args) > 0 {
		return usagef("version takes no arguments")
	}
	v := versionDocument{V: 1, Type: "version", Version: release, Revision: revision(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if o.json {
		writeEvent(s.out, v)
		return nil
	}
	text := v.Version
	if v.Revision != "" {
		text += " " + v.Revision
	}
	fmt.Fprintf(s.out, "sharer %s (%s, %s/%s)\n", text, v.Go, v.OS, v.Arch)
	return nil
}

// revision is the commit that was built, shortened as people write it; empty if
// the build does not know.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var rev, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}
