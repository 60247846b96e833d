package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sharer/mirror"
)

// join shows what a publisher wants, and adds what the user agrees to. His limits win.
func (m *mirroring) join(ctx context.Context, base mirror.Spec, text string) error {
	var of mirror.Spec
	if err := follow(&of, text); err != nil || of.Path == "" {
		return errors.Join(err, usagef("join takes what a publisher has published: lcdp://KEY/%s", mirror.InvitationName))
	}
	if base.Name != "" {
		return usagef("join names its mirrors after what they carry; leave --name out, or add them one by one")
	}
	v, err := m.c.Invitation(ctx, of.Key, of.Path)
	if err != nil {
		return err
	}
	looks, err := m.c.Mirrors(ctx)
	if err != nil {
		return err
	}
	specs, there := joining(base, of, v, looks)
	m.showInvitation(of, v, specs)
	for _, name := range there {
		m.scr.note("%s is carried already, as the mirror %s", name[0], name[1])
	}
	if len(specs) == 0 {
		return nil
	}
	if err := m.agree(); err != nil {
		return err
	}
	var failed []exit
	for _, spec := range specs {
		look, err := m.c.AddMirror(ctx, spec)
		if err == nil {
			m.added(look)
			continue
		}
		err = explainMirror(err, spec.Name)
		failed = append(failed, exitOf(ctx, err))
		m.scr.warn(warningEvent{Message: spec.Path + ": " + err.Error()})
	}
	if len(failed) > 0 {
		return &codedError{together(failed, len(specs)), fmt.Errorf("%d of %s could not be added", len(failed), count(len(specs), "mirror"))}
	}
	return nil
}

// joining are the mirrors that an invitation asks for and that are not there, and by name what is. Where another mirror
// has the name, this one's ends with a number.
func joining(base, of mirror.Spec, v mirror.Invitation, looks []mirror.Look) (specs []mirror.Spec, there [][2]string) {
	taken, carried := map[string]bool{}, map[string]string{}
	for _, l := range looks {
		taken[l.Spec.Name], carried[l.Link] = true, l.Spec.Name
	}
	for _, w := range v.Carry {
		spec := base
		spec.Key, spec.Path, spec.Name = of.Key, w.Name, mirror.NameFor(w.Name)
		if name, is := carried[spec.Link()]; is {
			there = append(there, [2]string{escape(w.Name), name})
			continue
		}
		for n := 2; taken[spec.Name]; n++ {
			end := fmt.Sprintf("-%d", n)
			name := mirror.NameFor(w.Name)
			spec.Name = name[:min(len(name), mirror.MaxName-len(end))] + end
		}
		taken[spec.Name], carried[spec.Link()] = true, spec.Name
		if spec.Rules.Quota == 0 {
			spec.Rules.Quota = w.Quota
		}
		if spec.Rules.Copies == 0 && spec.Rules.Share.Percent == 0 && len(v.Group) > 0 {
			spec.Rules.Copies = w.Copies
		}
		spec.Group = slices.Clone(base.Group)
		for _, k := range v.Group {
			if text := k.String(); !slices.Contains(spec.Group, text) {
				spec.Group = append(spec.Group, text)
			}
		}
		specs = append(specs, spec)
	}
	return specs, there
}

// showInvitation is what the user is asked to agree to.
func (m *mirroring) showInvitation(of mirror.Spec, v mirror.Invitation, specs []mirror.Spec) {
	out := m.scr.s.err
	fmt.Fprintf(out, "0x%s asks for mirrors: %s\n", of.Key, escape(v.Text))
	for _, w := range v.Carry {
		at := slices.IndexFunc(specs, func(s mirror.Spec) bool { return s.Path == w.Name })
		if at < 0 {
			continue
		}
		r := specs[at].Rules
		text := fmt.Sprintf("  %s  %s", escape(w.Name), formatSize(w.Size))
		if specs[at].Name != mirror.NameFor(w.Name) {
			text += ", here " + specs[at].Name
		}
		if r.Quota > 0 {
			text += ", quota " + formatSize(r.Quota)
		}
		if r.Copies > 0 {
			text += fmt.Sprintf(", a part for %d copies among %d mirrors", r.Copies, len(specs[at].Group))
		}
		fmt.Fprintln(out, strings.TrimRight(text+"  "+escape(w.Text), " "))
	}
}

// agree asks whether to go on.
func (m *mirroring) agree() error {
	if m.o.yes {
		return nil
	}
	if !m.scr.s.errTTY {
		return usagef("say --yes to agree")
	}
	fmt.Fprint(m.scr.s.err, "Carry this? [y/N] ")
	answer, _ := bufio.NewReader(m.scr.s.in).ReadString('\n')
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return &codedError{exitRefused, errors.New("not agreed; nothing was changed")}
	}
	return nil
}
