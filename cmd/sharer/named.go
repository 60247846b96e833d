package main

import (
	"context"
	"errors"
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
	out, err := meantBy(l, rs)
	if none, ok := errors.AsType[*node.NameError](err); ok {
		none.After = timeout
	}
	return out, err
}

// meantBy is a link to a published name with the id that it has by these records.
func meantBy(l link.Link, rs []identity.Record) (link.Link, error) {
	r, isFolder, rest, ok := identity.Meant(l.Published, rs)
	if !ok {
		return link.Link{}, &node.NameError{Key: identity.PublicKey(l.Publisher), Name: l.Published}
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
			it.asked, it.link = it.link, l
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

// olderWait is how long the version before is asked for: who told of the newest has told of it too.
const olderWait = 3 * time.Second

// older turns to the version before the newest when nobody has that: a publisher may have gone away before it has given it to anybody. It says so, and
// returns whether there is one.
func (g *getting) older(ctx context.Context, it *item, why error) bool {
	asked := it.asked
	if asked.Published == "" || !errors.Is(why, node.ErrNotFound) || ctx.Err() != nil {
		return false
	}
	it.asked = link.Link{} // once
	waiting, cancel := context.WithTimeout(ctx, olderWait)
	defer cancel()
	rs, err := g.peer.ResolveAny(waiting, node.NameQuery{Key: identity.PublicKey(asked.Publisher), Names: identity.Candidates(asked.Published), Seq: asked.Seq, Hints: asked.Peers, Older: true})
	if err != nil {
		return false
	}
	l, err := meantBy(asked, rs)
	if err != nil || l.ID == it.link.ID || it.path != "" && l.Folder {
		return false
	}
	it.link = l
	g.scr.warn(warningEvent{Job: it.job, ID: l.ID.String(), Message: fmt.Sprintf("%s: nobody has the newest version, so this is the one before: %s", it.label(), l.ID)})
	return true
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
