package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharer/chunk"
)

// hashOptions are the flags of hash.
type hashOptions struct {
	*options
	check  string
	blake3 bool
	sha256 bool
}

func newHash() *command {
	c := newCommand("hash", "PATH...", "print the ids of files")
	c.long = `Print the ids of files, one a line, in the form that get takes: blake3/HEX and HEX (the
sha256). Files in folders are taken too, symbolic links in them are not. With --blake3 or
--sha256 the lines are those of b3sum and sha256sum.

--check FILE reads such lines, those of b3sum and sha256sum too, and tells for each file
whether it is still the same; FILE may be - for standard input.`
	c.examples = `sharer hash ubuntu.iso
sharer hash --sha256 *.iso > SHA256SUMS
sharer hash --check SHA256SUMS`
	o := &hashOptions{options: c.options}
	f := c.flags
	c.contrary = append(c.contrary, pair{"blake3", "sha256"})
	f.StringVar(&o.check, "check", "", "read ids and paths from `FILE` and check them")
	f.BoolVar(&o.blake3, "blake3", false, "print only BLAKE3, in lines of b3sum")
	f.BoolVar(&o.sha256, "sha256", false, "print only SHA-256, in lines of sha256sum")
	c.outputFlags()
	c.progressFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error {
		if o.check != "" {
			return runCheck(ctx, o, args, s)
		}
		return runHash(ctx, o, args, s)
	}
	return c
}

// runHash prints the ids of all files; what cannot be read is named and left out.
func runHash(ctx context.Context, o *hashOptions, args []string, s *stdio) error {
	switch {
	case len(args) == 0:
		return usagef("hash needs a file; see sharer help hash")
	case o.blake3 && o.sha256:
		return usagef("--blake3 and --sha256 contradict each other; without them both are printed")
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	begun := time.Now()
	r := &hashRun{ctx: ctx, scr: scr, task: scr.task(view{name: stateHashing, state: stateHashing, total: -1})}
	defer func() { scr.end(r.task, "") }()
	fi, err := os.Stat(args[0])
	r.alone = len(args) == 1 && (err != nil || !fi.IsDir())
	for _, a := range args {
		if err := r.each(a, func(path string, sums chunk.Sums) { o.print(scr, path, sums) }); err != nil {
			return err
		}
	}
	if len(r.codes) > 0 {
		if r.alone {
			return r.last
		}
		return &severalError{code: together(r.codes, r.files+len(r.codes)), failed: len(r.codes), total: r.files + len(r.codes), what: "files"}
	}
	if o.json {
		scr.event(summaryEvent{V: 1, Type: "summary", Files: r.files, Bytes: r.bytes, Seconds: seconds(time.Since(begun)), Verified: true, Code: exitDone.String()})
	}
	return nil
}

// print is one file of the result.
func (o *hashOptions) print(scr *screen, path string, sums chunk.Sums) {
	switch {
	case o.json:
		e := seededEvent{V: 1, Type: "file", Path: path, PathBytes: pathBytes(path), Size: sums.Size}
		if !o.sha256 {
			e.BLAKE3 = sums.BLAKE3.String()
		}
		if !o.blake3 {
			e.SHA256 = sums.SHA256.String()
		}
		scr.event(e)
	case o.blake3:
		scr.result(checkLine(sums.BLAKE3.String(), path))
	case o.sha256:
		scr.result(checkLine(sums.SHA256.String(), path))
	default:
		scr.result(checkLine(chunk.ID{Kind: chunk.BLAKE3, Hash: sums.BLAKE3}.String(), path) + "\n" +
			checkLine(chunk.ID{Kind: chunk.SHA256, Hash: sums.SHA256}.String(), path))
	}
}

// checkLine is a line of b3sum: the id, two spaces, the path. A path with a
// backslash or a line end is escaped, which a backslash before the line tells.
func checkLine(id, path string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(path)
	if escaped != path {
		id = `\` + id
	}
	return id + "  " + escaped
}

// hashRun hashes files one after the other; each uses two cores by itself.
type hashRun struct {
	ctx   context.Context
	scr   *screen
	task  *task
	rate  rateMeter
	files int
	bytes int64
	codes []exit // of the failed
	last  error  // of the failed
	alone bool   // there is one file: its error is the command's
}

// each hashes a file, or every regular file in a folder in lexical order. The error
// is that of the context only; what fails is named and counted.
func (r *hashRun) each(arg string, got func(path string, sums chunk.Sums)) error {
	// Whoever names a symbolic link means what it points to.
	real, err := filepath.EvalSymlinks(arg)
	if err != nil {
		r.fail(arg, err)
		return nil
	}
	return filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
		shown := arg
		if rel, rerr := filepath.Rel(real, path); rerr == nil && rel != "." {
			shown = filepath.Join(arg, rel)
		}
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		switch {
		case err != nil:
			r.fail(shown, err)
			return nil
		case d.IsDir(), path != real && !d.Type().IsRegular():
			return nil
		}
		sums, err := r.sum(path)
		switch {
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case err != nil:
			r.fail(shown, err)
		default:
			r.files++
			got(shown, sums)
		}
		return nil
	})
}

// errChanging is the error for a file that was written to while it was read.
var errChanging = errors.New("changed while it was hashed")

// sum hashes one file, and checks afterwards that it is still the same.
func (r *hashRun) sum(path string) (chunk.Sums, error) {
	f, stamp, err := chunk.OpenRegular(path)
	if err != nil {
		return chunk.Sums{}, err
	}
	defer f.Close()
	r.task.update(func(v *view) { v.name, v.total = "hashing "+escape(path), r.bytes+stamp.Size })
	sums, err := chunk.Sum(r.ctx, f, stamp.Size, nil, func(n int) {
		r.bytes += int64(n)
		rate := r.rate.rate(time.Now(), r.bytes)
		r.task.update(func(v *view) { v.done, v.rate = r.bytes, rate })
	})
	if err != nil && !errors.Is(err, chunk.ErrSize) {
		return chunk.Sums{}, err
	}
	fi, serr := f.Stat()
	if serr != nil {
		return chunk.Sums{}, serr
	}
	if err != nil || chunk.StampOf(fi) != stamp {
		return chunk.Sums{}, errChanging
	}
	return sums, nil
}

func (r *hashRun) fail(path string, err error) {
	r.last = fmt.Errorf("%s: %w", path, bare(err))
	code := exitOf(r.ctx, err)
	r.codes = append(r.codes, code)
	if r.alone {
		return
	}
	r.scr.fail(warningEvent{Code: code.String(), Path: path, Message: escape(path) + ": " + escape(reason(err))})
}

// bare is a path error without its path.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
