package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// cjp2pFetch is a node that knows the server at $3, fetches the id $4 and is ended when it has all of it, which then is at $2. It writes to
// where it is, never ends by itself, and takes two lines that it reads at once for one.
const cjp2pFetch = `dir=$1 target=$2 server=$3 id=$4; shift 4
cd "$dir" || exit
echo "/addpeer $server" | "$@" "$id" >said 2>&1 & node=$!
until [ -e "cjp2p/public/$id" ]; do sleep 0.1 && kill -0 $node || { cat said; exit 1; }; done
kill $node; wait $node; mv "cjp2p/public/$id" "$target"`

// serveCjp2p shares a copy, as cjp2p links what it shares, which changes a stamp of the file that sharer seeds in place.
func serveCjp2p(ctx context.Context, t *task) (sv service, err error) {
	dir := filepath.Join(t.work, "cjp2p")
	file, err := t.ownCopy(dir)
	if err != nil {
		return sv, err
	}
	ports, err := freePorts(2 + 2*t.clients) // of each node one for peers and one for its page
	if err != nil {
		return sv, err
	}
	node := func(k int) []string { return []string{t.cjp2p, "--lcdp-port", ports[2*k], "--http-port", ports[2*k+1]} }
	server := t.command(ctx, node(0)...)
	server.Dir = dir
	in, errIn := server.StdinPipe()
	out, errOut := server.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return sv, err
	}
	if err := sv.start(server); err != nil {
		return sv, err
	}
	id := ""
	for lines := bufio.NewScanner(out); id == "" && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "web console at") { // it reads commands from now on
			if _, err := fmt.Fprintln(in, "/share "+file); err != nil {
				return sv, err
			}
		}
		if _, after, ok := strings.Cut(lines.Text(), " is shared at "); ok {
			if i := strings.Index(after, "blake3/"); i >= 0 {
				id = after[i:]
			}
		}
	}
	if id == "" {
		return sv, errors.New("it ended without an id")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the server
	sv.fetch = func(k int) []string {
		args := []string{"sh", "-c", cjp2pFetch, "sh", t.scratch(k), t.target(k), net.JoinHostPort(t.host, ports[0]), id}
		return t.client(append(args, node(k+1)...)...)
	}
	return sv, nil
}

// freePorts are ports that nobody has now.
func freePorts(n int) (ports []string, err error) {
	for range n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		ports = append(ports, strconv.Itoa(port))
	}
	return ports, nil
}
