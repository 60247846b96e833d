package main

import (
	"context"
	"fmt"
	"time"
)

// scene is one case: what is moved, by how many, over what.
type scene struct {
	name    string // as -case takes it
	title   string
	size    int64 // bytes of each file
	files   int
	servers int // that the one who fetches knows; of programs that take one alone there is one
	clients int // that fetch at the same time
	path    path
	tags    string // ours is built with these from this tree, whatever binary was given
}

// path is what lies between both sides; the zero value is loopback.
type path struct {
	mtu  int           // bytes; 0: loopback
	rtt  time.Duration // with a rate: a link of internal/impair, which no kernel has to know
	rate float64       // bytes a second
}

// scenes are all cases. size is that of the one file, which links with a rate cut down.
func scenes(size int64) []scene {
	one := scene{size: size, files: 1, servers: 1, clients: 1}
	with := func(name, title string, change func(*scene)) scene {
		s := one
		s.name, s.title = name, title
		if change != nil {
			change(&s)
		}
		return s
	}
	slow := func(rtt time.Duration) func(*scene) {
		return func(s *scene) {
			s.size = max(size/16, 1<<20)
			s.path = path{mtu: 1500, rtt: rtt, rate: 25e6}
		}
	}
	return []scene{
		with("one", "one to one, loopback", nil),
		with("mtu1500", "one to one, namespaces, MTU 1500", func(s *scene) { s.path.mtu = 1500 }),
		with("nogso", "one to one, loopback, a system call a datagram", func(s *scene) { s.tags = "nooffload" }),
		with("sources", "four to one, loopback", func(s *scene) { s.servers = 4 }),
		with("crowd", "one to four, loopback", func(s *scene) { s.clients = 4; s.size = max(size/4, 1) }),
		with("small", "10,000 files of 20 KiB, loopback", func(s *scene) { s.files, s.size = 10_000, 20<<10 }),
		with("rtt0", "200 Mbit/s, no delay", slow(0)),
		with("rtt20", "200 Mbit/s, 20 ms round trip", slow(20*time.Millisecond)),
		with("rtt100", "200 Mbit/s, 100 ms round trip", slow(100*time.Millisecond)),
	}
}

// bytes is what one client fetches.
func (s *scene) bytes() int64 { return s.size * int64(s.files) }

// place is where the programs of a scene run: commands are put behind these.
type place struct {
	serve, fetch []string
	host         string         // of the servers, as those who fetch see it
	heard        func(f func()) // has f called at each packet of those who fetch; nil where nobody can hear them
	close        func() error
}

// open makes the place of a scene, shut in a namespace also where it is loopback, if shut; the error is errNoPlace where this machine or user cannot.
func (p path) open(ctx context.Context, shut bool) (place, error) {
	loopback := p == path{}
	if loopback && !shut {
		return place{host: "127.0.0.1", close: func() error { return nil }}, nil
	}
	pl, err := p.openNamespaces(ctx, loopback)
	if err != nil {
		return place{}, fmt.Errorf("%w: %w", errNoPlace, err)
	}
	return pl, nil
}
