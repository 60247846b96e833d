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
	"sharer/control"
	"sharer/identity"
	"sharer/index"
	"sharer/link"
	"sharer/seed"
)

// seedOptions are the flags of seed.
type seedOptions struct {
	*options
	exclude     []string
	followLinks bool
	rehash      bool
	recommend   bool
	publish     string
	nameOnly    bool // the name's link is the result, the others are a detail
}

func newSeed() *command {
	c := newCommand("seed", "PATH...", "share files and folders where they are")
	c.long = `Share files and folders where they are: nothing is copied or changed. Each file gets a
link, printed one a line on standard output, and each folder one for all that is in it,
printed last; whoever has the link can fetch it while this runs. Ctrl-C stops.

Hidden files, .git, editors' temporary files and partial downloads are skipped, unless
they are named as a PATH. Symbolic links never lead out of the folder. A second start
hashes only what has changed.

With --watch a file that appears is offered once it has been the same for two seconds, one that
changes or goes is withdrawn at once, and a folder that changed gets a new link, printed like the
first one. The daemon does so by itself.`
	c.examples = `sharer seed ~/isos
sharer seed report.pdf photos/ --exclude '*.raw'
sharer seed --watch ~/outbox
sharer seed --json ~/isos | jq -r 'select(.type=="file").link'`
	o := &seedOptions{options: c.options}
	f := c.flags
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out what matches `GLOB`, by name or by path in the folder; repeatable")
	f.BoolVar(&o.followLinks, "follow-links", false, "follow symbolic links that stay inside the folder")
	f.BoolVar(&o.rehash, "rehash", false, "hash every file again, also the unchanged ones")
	f.BoolVar(&o.watch, "watch", false, "look after the files while this runs: offer what is new, withdraw what changed, and print new links")
	f.StringVar(&o.publish, "publish", "", "publish it under `NAME`, as sharer publish does; for one file or folder")
	f.BoolVar(&o.recommend, "recommend", false, "recommend it to peers that ask what there is; for one file")
	c.outputFlags()
	c.progressFlags()
	c.nodeFlags()
	c.rescanFlag()
	c.mappingFlag()
	c.transferFlags()
	c.webFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runSeed(ctx, o, args, s) }
	return c
}

// runSeed hashes what has changed, prints the links, and offers the files until
// the context ends. An interruption is its normal end.
func runSeed(ctx context.Context, o *seedOptions, args []string, s *stdio) (err error) {
	if len(args) == 0 {
		return usagef("seed needs a file or a folder; see sharer help seed")
	}
	for _, glob := range o.exclude {
		if _, err := filepath.Match(glob, ""); err != nil {
			return usagef("--exclude %q: %v", glob, err)
		}
	}
	if fi, err := os.Stat(args[0]); o.recommend && (len(args) > 1 || err == nil && !fi.Mode().IsRegular()) {
		return usagef("--recommend takes one file: peers remember one recommendation of each other")
	}
	if err := o.checkPublish(args); err != nil {
		return err
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	scr.linksAside = o.nameOnly
	h := newHashing(scr)
	paths, err := h.existing(args)
	if err != nil {
		return err
	}
	p, err := openPeer(ctx, o.options, scr, true, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	showChats(p, scr)

	begun := time.Now()
	h.begin()
	names, err := o.seed(ctx, p, paths, h.event)
	h.end(time.Since(begun))
	switch {
	case err != nil && ctx.Err() != nil:
		scr.note("stopped while hashing; the same command goes on with the files that are left")
		return h.result(begun)
	case err != nil:
		return err
	case h.files == 0 && h.failed == 0:
		return fmt.Errorf("nothing to seed in %s (%d skipped)", strings.Join(args, ", "), h.skipped)
	case h.files == 0:
		return h.result(begun)
	}
	if o.recommend {
		p.Recommend(chunk.ID{Kind: chunk.BLAKE3, Hash: h.last.BLAKE3}, h.last.Size)
	}
	offers := h.folders
	ready := readyEvent{Folders: offers, V: 1, Type: "ready", Files: h.files, Bytes: h.bytes}
	for _, a := range p.Addrs() {
		ready.Listen = append(ready.Listen, a.String())
	}
	if a, ok := p.(abouter); ok && a.About().Web.IsValid() {
		ready.Web = "http://" + a.About().Web.String() + "/"
	}
	if len(offers) > 0 {
		ready.Folder = offers[len(offers)-1].Link
	}
	if o.json {
		scr.event(ready)
	} else {
		for _, f := range offers {
			scr.link(f.Link)
		}
	}
	showPublished(scr, names)
	if c, ok := p.(*control.Client); ok {
		scr.note("seeding %s, %s: %s", count(h.files, "file"), formatSize(h.bytes), until(c.About()))
		return h.result(begun)
	}
	scr.note("seeding %s, %s, on %s. Ctrl-C to stop; sharer daemon keeps it running", count(h.files, "file"), formatSize(h.bytes), strings.Join(ready.Listen, " "))
	if ready.Web != "" {
		scr.note("the page of this node: %s", ready.Web)
	}
	<-ctx.Done()
	return h.result(begun)
}

// seed seeds the paths, and publishes the one that is.
func (o *seedOptions) seed(ctx context.Context, p peer, paths []string, emit func(seed.Event)) ([]identity.Record, error) {
	options := seed.Options{Paths: paths, Exclude: o.exclude, FollowLinks: o.followLinks, Rehash: o.rehash}
	if o.publish == "" {
		_, err := p.Seed(ctx, options, emit)
		return nil, explainSeed(err)
	}
	pub, ok := p.(publisher)
	if !ok {
		return nil, errors.New("nothing can be published from here")
	}
	rs, err := pub.PublishPath(ctx, o.publish, options, emit)
	return rs, explainSeed(err)
}

// explainSeed gives an error about what may not be seeded its exit code.
func explainSeed(err error) error {
	if errors.Is(err, control.ErrBad) {
		return usagef("%s", strings.TrimPrefix(err.Error(), control.ErrBad.Error()+": "))
	}
	return err
}

// until says who seeds what was handed over, and how long.
func until(a control.About) string {
	if a.Foreground != "" {
		return fmt.Sprintf("sharer %s (pid %d) serves it until it is stopped", a.Foreground, a.PID)
	}
	return fmt.Sprintf("the daemon (pid %d) serves it from now on; sharer rm ends that", a.PID)
}

// hashing follows a scan: its progress, its files, what it left out. The scan
// calls it from one goroutine at a time.
type hashing struct {
	scr  *screen
	task *task
	rate rateMeter

	last index.Content // of the file that was done last

	folders []folderOffer // in the order of the command line

	files, reused, skipped, failed int
	bytes                          int64 // of the files
	reusedBytes                    int64 // of them, not read
	read                           int64 // hashed so far, files in progress included
	codes                          []exit
	missing                        int // of the failed: paths of the command line that are not there
}

func newHashing(scr *screen) *hashing { return &hashing{scr: scr} }

// existing leaves out the arguments that cannot be looked at, and names them. If
// none is left, that is the error.
func (h *hashing) existing(args []string) (paths []string, err error) {
	for _, a := range args {
		_, lerr := os.Lstat(a)
		if lerr == nil {
			paths = append(paths, a)
			continue
		}
		if len(args) == 1 {
			return nil, pathError(lerr)
		}
		h.fail(a, lerr)
		h.missing++
	}
	if len(paths) == 0 {
		return nil, &severalError{code: together(h.codes, len(args)), failed: len(args), total: len(args), what: "paths"}
	}
	return paths, nil
}

func (h *hashing) begin() {
	h.task = h.scr.task(view{name: stateHashing, state: stateHashing, total: -1})
}

// event takes one event of the scan.
func (h *hashing) event(e seed.Event) {
	switch e.Kind {
	case seed.Found:
		h.task.update(func(v *view) { v.filesTotal, v.total = e.Files, e.Bytes-h.reusedBytes })
	case seed.Hashing:
		h.read = e.Bytes
		h.progress()
	case seed.FileDone:
		h.done(e.File)
	case seed.Skipped:
		h.skipped++
		h.scr.detail("skipped %s: %s", escape(e.Path), escape(e.Reason))
	case seed.Failed:
		h.fail(e.Path, e.Err)
	case seed.LeftOut:
		h.scr.warn(warningEvent{Path: e.Path, Message: escape(e.Path) + ": " + escape(e.Err.Error())})
	case seed.FolderDone:
		h.folders = append(h.folders, folderOfferOf(e.Folder))
	}
}

func folderOfferOf(f seed.Folder) folderOffer {
	return folderOffer{
		Path: f.Root, PathBytes: pathBytes(f.Root), Link: link.ForFolder(f.Sums, f.Name, f.Bytes).String(), Files: f.Files, Bytes: f.Bytes, Left: f.Left,
	}
}

// seeded prints the link of a file.
func (scr *screen) seeded(f seed.File) {
	l := link.For(chunk.Sums{SHA256: f.Content.SHA256, BLAKE3: f.Content.BLAKE3, Size: f.Content.Size}, filepath.Base(f.Path)).String()
	if scr.opts.json {
		scr.event(seededEvent{V: 1, Type: "file", Path: f.Path, PathBytes: pathBytes(f.Path), Size: f.Content.Size,
			BLAKE3: f.Content.BLAKE3.String(), SHA256: f.Content.SHA256.String(), Link: l})
		return
	}
	scr.link(l)
}

func (h *hashing) progress() {
	rate := h.rate.rate(time.Now(), h.read)
	h.task.update(func(v *view) { v.files, v.done, v.rate = h.files, h.read, rate })
}

// done takes a file, and prints its link.
func (h *hashing) done(f seed.File) {
	h.files++
	h.last = f.Content
	h.bytes += f.Content.Size
	if f.Reused {
		h.reused++
		h.reusedBytes += f.Content.Size
	}
	h.scr.seeded(f)
	h.progress()
}

// fail names a file that is not offered.
func (h *hashing) fail(path string, err error) {
	h.failed++
	code := exitOf(context.Background(), err)
	h.codes = append(h.codes, code)
	h.scr.fail(warningEvent{Code: code.String(), Path: path, Message: escape(path) + ": " + escape(reason(err))})
}

func (h *hashing) end(took time.Duration) {
	line := fmt.Sprintf("hashed %s, %s in %.1fs", count(h.files-h.reused, "file"), formatSize(h.read), took.Seconds())
	if h.reused > 0 {
		line += fmt.Sprintf(", %d unchanged", h.reused)
	}
	if h.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", h.skipped)
		if !h.scr.verbose() {
			line += " (-v lists them)"
		}
	}
	if h.failed > 0 {
		line += fmt.Sprintf(", %d failed", h.failed)
	}
	h.scr.end(h.task, line)
}

// result is how the command ends: well, or with files that are not offered.
func (h *hashing) result(begun time.Time) error {
	if h.failed > 0 {
		return &severalError{code: together(h.codes, h.files+h.failed), failed: h.failed, total: h.files + h.failed, what: "files"}
	}
	if h.scr.opts.json {
		h.scr.event(summaryEvent{V: 1, Type: "summary", Files: h.files, Skipped: h.skipped, Bytes: h.bytes,
			Seconds: seconds(time.Since(begun)), Verified: true, Code: exitDone.String()})
	}
	return nil
}

// reason is an error without the path that its reader sees already.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// pathError is an error of a system call as people say it: the path, then the reason.
func pathError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// count is a number with its noun: 1 file, 2 files.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
