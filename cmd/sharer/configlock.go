package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sharer/chunk"
)

const (
	configTries = 500 // to wait for others who write the same file: five seconds, each needs a moment
	configWait  = 10 * time.Millisecond
)

// lockConfig has a file of settings for one writer at a time, from the reading of what is there to the writing of what shall be: else
// of two changes at once one would be lost. Who only reads needs no lock, as the file is replaced whole.
func lockConfig(ctx context.Context, path string) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	for range configTries {
		l, err := chunk.TakeLock(name, false)
		if err == nil {
			return l.Remove, nil
		}
		if !errors.Is(err, chunk.ErrLocked) {
			if bad, ok := errors.AsType[*fs.PathError](err); ok { // a person knows the file, not its lock
				err = &fs.PathError{Op: bad.Op, Path: path, Err: bad.Err}
			}
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(configWait):
		}
	}
	return nil, &codedError{exitLocked, fmt.Errorf("another sharer is writing %s. Give the same command again", path)}
}

// behindLinks is the file that a name stands for. What a link leads to need not be there yet.
func behindLinks(path string) string {
	const mostLinks = 40 // as the system follows
	for range mostLinks {
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}
