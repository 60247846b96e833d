package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sharer/limit"
	"sharer/mirror"
)

// mirrorFile is what mirror export writes and import reads. Its words are those of the flags.
type mirrorFile struct {
	V       int          `json:"sharer_mirrors"` // 1
	Mirrors []mirrorSaid `json:"mirrors"`
}

// mirrorSaid is one mirror in it. What is left out is as add has it.
type mirrorSaid struct {
	Name      string        `json:"name"`
	Link      string        `json:"link"`
	Dir       string        `json:"dir,omitempty"` // absolute; empty: in the state folder
	Quota     string        `json:"quota,omitempty"`
	MinFree   string        `json:"min-free,omitempty"`
	OnFull    mirror.OnFull `json:"on-full,omitempty"`
	Include   []string      `json:"include,omitempty"`
	Exclude   []string      `json:"exclude,omitempty"`
	MaxFile   string        `json:"max-file,omitempty"`
	Share     string        `json:"share,omitempty"`
	Copies    int           `json:"copies,omitempty"`
	Group     []string      `json:"group,omitempty"`
	MaxDelete string        `json:"max-delete,omitempty"`
	Every     string        `json:"every,omitempty"`
	BWLimit   string        `json:"bwlimit,omitempty"`
	Keep      int           `json:"keep,omitempty"`
	Grace     string        `json:"grace,omitempty"`
	HTTP      []string      `json:"http-source,omitempty"`
	Hooks     *mirror.Hooks `json:"hooks,omitempty"` // with --hooks only: they are commands, and may hold secrets
}

// maxMirrorFile bounds one, in bytes: a thousand mirrors with a thousand keys each are 67 MB, and nobody has them.
const maxMirrorFile = 16 << 20

// saidOf is a mirror as people write it. The error says what was left out of it.
func saidOf(l mirror.Look, state string, hooks bool) (s mirrorSaid, err error) {
	size := func(n int64) string {
		if n == 0 {
			return ""
		}
		return limit.Rates{Up: n, Down: n}.String()
	}
	r := l.Spec.Rules
	s = mirrorSaid{
		Name: l.Spec.Name, Link: l.Link, Dir: l.Spec.Dir, Quota: size(r.Quota), MinFree: r.MinFree.String(), OnFull: r.OnFull, Include: r.Include, Exclude: r.Exclude, MaxFile: size(r.MaxFile),
		Copies: r.Copies, Group: l.Spec.Group, MaxDelete: r.MaxDelete.String(), Every: r.Every.String(), BWLimit: size(r.Down), Keep: r.Keep, Grace: r.Grace.String(),
	}
	if r.Share.Percent > 0 {
		s.Share = r.Share.String()
	}
	if l.Remote || s.Dir == filepath.Join(state, "mirrors", s.Name, "tree") {
		s.Dir = ""
	}
	if hooks && l.Spec.Hooks.Any() {
		s.Hooks = &l.Spec.Hooks
	}
	for _, text := range l.Spec.HTTP {
		u, parseErr := url.Parse(text)
		if parseErr == nil && u.User != nil {
			u.User = nil
			text, err = u.String(), fmt.Errorf("the name and password in --http-source of %s", s.Name)
		}
		s.HTTP = append(s.HTTP, text)
	}
	return s, err
}

// spec is what it says.
func (s mirrorSaid) spec(hooks bool) (spec mirror.Spec, err error) {
	spec = mirror.Spec{Name: s.Name, Dir: s.Dir, Rules: mirror.DefaultRules(), HTTP: s.HTTP, Group: s.Group}
	if err := follow(&spec, s.Link); err != nil {
		return spec, err
	}
	r := &spec.Rules
	r.Include, r.Exclude, r.Copies = s.Include, s.Exclude, s.Copies
	if s.OnFull != "" {
		r.OnFull = s.OnFull
	}
	if s.Keep != 0 {
		r.Keep = s.Keep
	}
	if hooks && s.Hooks != nil {
		spec.Hooks = *s.Hooks
	}
	read := func(word, text string, into func(string) error) {
		if text == "" || err != nil {
			return
		}
		if failed := into(text); failed != nil {
			err = usagef("%s: %s %q: %v", escape(shorten(s.Name, 80)), word, text, failed)
		}
	}
	size := func(into *int64) func(string) error {
		return func(text string) (err error) { *into, err = parseSize(text); return err }
	}
	portion := func(into *mirror.Portion) func(string) error {
		return func(text string) (err error) { *into, err = mirror.ParsePortion(text, parseSize); return err }
	}
	span := func(into *time.Duration) func(string) error {
		return func(text string) (err error) { *into, err = time.ParseDuration(text); return err }
	}
	read("quota", s.Quota, size(&r.Quota))
	read("max-file", s.MaxFile, size(&r.MaxFile))
	read("bwlimit", s.BWLimit, size(&r.Down))
	read("min-free", s.MinFree, portion(&r.MinFree))
	read("max-delete", s.MaxDelete, portion(&r.MaxDelete))
	read("share", s.Share, portion(&r.Share))
	read("every", s.Every, span(&r.Every))
	read("grace", s.Grace, span(&r.Grace))
	if err == nil {
		if failed := whole(spec).Check(); failed != nil {
			err = usagef("%s: %s", escape(shorten(s.Name, 80)), escape(failed.Error()))
		}
	}
	return spec, err
}

// whole is a mirror as it will be: the daemon chooses the folder of one that names none.
func whole(spec mirror.Spec) mirror.Spec {
	if spec.Dir == "" {
		spec.Dir = os.TempDir()
	}
	return spec
}

func (m *mirroring) export(ctx context.Context) error {
	looks, err := m.c.Mirrors(ctx)
	if err != nil {
		return err
	}
	file := mirrorFile{V: 1, Mirrors: []mirrorSaid{}}
	for _, l := range looks {
		said, left := saidOf(l, string(m.c.About().State), m.o.withHooks)
		if left != nil {
			m.scr.note("left out: %v", left)
		}
		if !m.o.withHooks && l.Spec.Hooks.Any() {
			m.scr.note("left out: the hooks of %s; --hooks writes them too", said.Name)
		}
		file.Mirrors = append(file.Mirrors, said)
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	m.scr.result(string(text))
	return nil
}

// readMirrorFile reads a file that export wrote, or a person; - is standard input.
func readMirrorFile(path string, in io.Reader) (file mirrorFile, err error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return file, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxMirrorFile+1))
	if err != nil {
		return file, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(&file)
	_, more := d.Token()
	switch {
	case len(text) > maxMirrorFile:
		return file, usagef("%s is longer than %d bytes", path, maxMirrorFile)
	case err != nil:
		return file, usagef("%s is not what sharer mirror export writes: %v", path, err)
	case more != io.EOF:
		return file, usagef("%s has something behind what sharer mirror export writes; give import one file at a time", path)
	case file.V != 1:
		return file, usagef("%s is not what sharer mirror export writes, or of a newer sharer (%d)", path, file.V)
	}
	return file, nil
}

// unlike names what a file says of a mirror that is there, and import does not change.
func (m *mirroring) unlike(l mirror.Look, said mirrorSaid) (other []string) {
	is, _ := saidOf(l, string(m.c.About().State), true) // names and passwords are in no file
	for _, part := range []struct {
		name string
		same bool
	}{
		{"dir", said.Dir == "" || said.Dir == l.Spec.Dir},
		{"group", slices.Equal(is.Group, said.Group)},
		{"http-source", slices.Equal(is.HTTP, said.HTTP)},
		{"hooks", !m.o.withHooks || said.Hooks == nil || *said.Hooks == l.Spec.Hooks},
	} {
		if !part.same {
			other = append(other, part.name)
		}
	}
	return other
}

// importedEvent is what became of a mirror of a file.
type importedEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "imported"
	Name string `json:"name"`
	What string `json:"what"` // "added", "changed"
}

// imports adds the mirrors of a file that are not there, and gives those that are their rules, and says what else is not as the file has it. All of the file is read and
// understood before anything is changed.
func (m *mirroring) imports(ctx context.Context, file mirrorFile) error {
	looks, err := m.c.Mirrors(ctx)
	if err != nil {
		return err
	}
	specs := make([]mirror.Spec, 0, len(file.Mirrors))
	names := map[string]bool{}
	for _, said := range file.Mirrors {
		spec, err := said.spec(m.o.withHooks)
		if err != nil {
			return err
		}
		if names[spec.Name] {
			return usagef("%s is in the file twice", spec.Name)
		}
		names[spec.Name] = true
		if said.Hooks != nil && !m.o.withHooks {
			m.scr.note("left out: the hooks of %s, which are commands; --hooks takes them too", spec.Name)
		}
		specs = append(specs, spec)
	}
	var failed []exit
	for i, spec := range specs {
		at := slices.IndexFunc(looks, func(l mirror.Look) bool { return l.Spec.Name == spec.Name && l.Link == spec.Link() })
		what := "added"
		if at >= 0 {
			what, err = "changed", m.c.SetMirrorRules(ctx, spec.Name, spec.Rules)
			if other := m.unlike(looks[at], file.Mirrors[i]); len(other) > 0 {
				m.scr.note("left as it is: %s of %s, which is no rule; remove the mirror and import it anew", strings.Join(other, ", "), spec.Name)
			}
		} else {
			_, err = m.c.AddMirror(ctx, spec)
		}
		if err == nil {
			if m.o.json {
				m.scr.event(importedEvent{1, "imported", spec.Name, what})
			} else {
				m.scr.result(spec.Name + ": " + what)
			}
			continue
		}
		err = explainMirror(err, spec.Name)
		failed = append(failed, exitOf(ctx, err))
		m.scr.warn(warningEvent{Message: spec.Name + ": " + err.Error()})
	}
	if len(failed) > 0 {
		return &codedError{together(failed, len(specs)), errors.New("some mirrors could not be imported")}
	}
	return nil
}
