// Command sharer-s3 gives a node of this machine a bucket for the contents of its mirrors: sharer daemon --mirror-store SOCKET.
// It is a process of its own because the node speaks to strangers, and this one has the credentials.
//
// Exit codes: 0 it was told to end, 1 it could not go on, 2 usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"sharer/mirror/depot"
	"sharer/s3"
)

const usage = `usage: sharer-s3 --socket PATH [--spool DIR] s3://BUCKET/PREFIX?endpoint=URL

What is being written waits in DIR, a folder of its own (default: PATH.spool), until it was verified and the bucket has it: up to eight
contents at a time. DIR is emptied at the start.

Credentials are those of other S3 tools: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or the machine's role.
Parameters of the URL: endpoint (default: Amazon's), region, path-style=1.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("sharer-s3", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	socket := flags.String("socket", "", "")
	spool := flags.String("spool", "", "")
	if err := flags.Parse(os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return
	} else if err != nil || *socket == "" || flags.NArg() != 1 {
		flags.Usage()
		os.Exit(2)
	}
	if *spool == "" {
		*spool = *socket + ".spool"
	}
	if err := run(ctx, *socket, *spool, flags.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "sharer-s3:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, socket, spool, bucket string) error {
	store, err := s3.Open(bucket)
	if err != nil {
		return err
	}
	if err := store.Check(ctx); err != nil {
		return err
	}
	l, err := listen(socket)
	if err != nil {
		return err
	}
	if err := openSpool(spool); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: depot.Handler{Store: store, Spool: spool}, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	fmt.Fprintf(os.Stderr, "the store is at %s. Ctrl-C to stop\n", socket)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = server.Shutdown(last)
	<-ended
	return err
}

// openSpool makes the folder for what is being written, and removes what a process that was killed has left in it. Who listens is alone.
func openSpool(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, "put-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// listen opens the socket for our own user alone. What a process that was killed has left there is replaced; one that
// answers is not.
func listen(socket string) (net.Listener, error) {
	if c, err := net.Dial("unix", socket); err == nil {
		return nil, errors.Join(fmt.Errorf("%s is in use", socket), c.Close())
	}
	if fi, err := os.Lstat(socket); err == nil && fi.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is something else than a socket", socket)
	} else if err == nil {
		if err := os.Remove(socket); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
