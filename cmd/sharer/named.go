package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"sharer/chunk"
	"sharer/identity"
	"sharer/link"
	"sharer/node"
)

// resolveLink asks what a link to a published name means now: a link with an id.
func resolveLink(ctx context.Context, p resolver, l link.Link, timeout time.Duration) (link.Link, error) {
	key := identity.PublicKey(l.Publisher)
	names := identity.Candidates(l.Published)
	if len(names) == 0 {
		return link.Link{}, usagef("%v", identity.CheckName(l.Published))
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rs, err := p.ResolveAny(waiting, node.NameQuery{Key: key, Names: names, Seq: l.Seq, Hints: l.Peers})
	if err != nil {
		if ctx.Err() != nil {
			return link.Link{}, ctx.Err()
		}
		return link.Link{}, err
	}
	r, isFolder, rest, ok := identity.Meant(l.Published, rs)
	if !ok {
		return link.Link{}, &node.NameError{Key: key, Name: l.Published, After: timeout}
	}
	sha := chunk.ID{Kind: chunk.SHA256, Hash: r.SHA256}
	if l.Also.Kind == chunk.SHA256 && l.Also != sha {
		return link.Link{}, fmt.Errorf("%w: %s stands for %s now, and the link wants %s", node.ErrIntegrity, l.Published, sha, l.Also)
	}
	out := l
	out.Published, out.Publisher = "", link.Key{}
	out.ID, out.Also = sha, chunk.ID{}
	if r.BLAKE3 != nil {
		out.ID, out.Also = chunk.ID{Kind: chunk.BLAKE3, Hash: *r.BLAKE3}, sha
	}
	if isFolder {
		if r.BLAKE3 == nil {
			return link.Link{}, fmt.Errorf("the publisher does not say the BLAKE3 of %s, without which a folder cannot be fetched", r.Path)
		}
		out.Folder, out.Path = true, rest
	}
	if out.Name == "" {
		out.Name = path.Base(l.Published)
		if isFolder {
			out.Name = path.Base(strings.TrimSuffix(r.Path, identity.ManifestName))
		}
	}
	return out, nil
}

// resolveNames finds out what the links to published names mean.
func (g *getting) resolveNames(ctx context.Context, items []*item) {
	for _, it := range items {
		if it.link.Published == "" {
			continue
		}
		task := g.scr.task(view{name: it.label(), job: it.job, state: string(node.LookingForPeers), total: -1})
		l, err := resolveLink(ctx, g.peer, it.link, g.o.findTimeout)
		g.scr.end(task, "")
		if err == nil {
			it.link = l
			g.scr.detail("%s is %s", it.text, l.ID)
			continue
		}
		if it.err = err; g.alone || ctx.Err() != nil {
			continue
		}
		code := exitOf(ctx, err)
		g.scr.fail(warningEvent{Code: code.String(), Job: it.job, Message: it.label() + ": " + message(ctx, err, code)})
	}
}

// published is what a record says, for people and for JSON.
func published(r identity.Record, size int64) publishedEvent {
	l := link.Link{Publisher: link.Key(r.Key), Published: r.Path, Size: size}
	e := publishedEvent{V: 1, Type: "published", Name: r.Path, Link: l.String(), Web: l.Web(), Seq: r.Seq, SHA256: chunk.Hash(r.SHA256).String()}
	if r.BLAKE3 != nil {
		e.BLAKE3 = chunk.Hash(*r.BLAKE3).String()
	}
	return e
}
