package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"sharer/chunk"
	"sharer/folder"
	"sharer/transfer"
)

const (
	folderJobs     = 8                      // contents that are fetched at the same time unless said otherwise
	folderProgress = 100 * time.Millisecond // between two looks at the whole
)

// GetFolder names files of a folder and where they shall be written.
type GetFolder struct {
	ID           chunk.ID // of the folder, and its name, for whoever keeps the download as a job
	Name         string
	Files        []folder.File // in order, as a folder.Selection gives them
	Dir          string        // is made if need be; nothing outside is written
	Peers        []netip.AddrPort
	Force        bool                 // replace files that are there with other content
	Jobs         int                  // contents at the same time, 0: 8
	Down         int64                // bytes a second that arrive for it, headers included, besides the limits of the node; 0: no limit of its own
	FindTimeout  time.Duration        // without anything of any content; 0: 60 s
	StallTimeout time.Duration        // for each content, as in Get
	Progress     func(FolderProgress) // called at most ten times a second, never concurrently; may be nil
	Done         func(FolderFile)     // called for each file, never concurrently, nor beside Progress
}

// FolderProgress is one look at all files together. Total is known from the start.
type FolderProgress struct {
	Progress
	Files, FilesTotal int
}

// FolderFile is what became of one file. Fetched and Resumed are those of its content, said for one of the files that
// have it.
type FolderFile struct {
	File    folder.File
	Path    string // with Dir
	Existed bool   // was there already with the same bytes
	Fetched int64
	Resumed int64
	Err     error // as those of Get
}

// GetFolder fetches the files of a folder, several at the same time, each under its name when it is whole. What has not
// arrived waits in Dir/.sharer-part under its hash, and goes on with the next GetFolder. A file that is there with the same
// bytes is not fetched again, and contents that several files have are fetched once. Times and executable bits are set as
// the folder says.
//
// What becomes of the files goes to Done; the error is that of Dir or of the context. What nobody has fails together, not after a timeout each,
// and holds up nothing else; when the disk is full the rest fails at once.
func (n *Node) GetFolder(ctx context.Context, g GetFolder) error {
	if err := os.MkdirAll(g.Dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(g.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r := &folderRun{
		GetFolder: g, node: n, root: root, share: transfer.NewDownLimit(g.Down, 0), running: map[chunk.Hash]Progress{}, placed: map[chunk.Hash]bool{},
	}
	r.Jobs = cmp.Or(max(r.Jobs, 0), folderJobs)
	r.FindTimeout, r.StallTimeout = cmp.Or(max(r.FindTimeout, 0), defaultFindTimeout), cmp.Or(max(r.StallTimeout, 0), defaultStallTimeout)
	r.looking.begun = time.Now()
	if err := r.openStage(ctx); err != nil {
		return err
	}
	refused := map[int]bool{}
	for _, f := range g.Files {
		r.total += f.Size
	}
	folder.TargetOf(runtime.GOOS).Check(g.Files, func(i int, err error) {
		refused[i] = true
		r.tell(FolderFile{File: g.Files[i], Err: err})
	})
	small, large := r.sortOut(ctx, byContent(g.Files, refused))
	r.firstTurns(len(large))
	c := r.newCrew(r.Jobs, searchers)
	var beside sync.WaitGroup
	beside.Go(func() {
		left := r.together(ctx, small)
		r.firstTurns(len(large) + len(left))
		c.each(ctx, left)
	})
	c.each(ctx, large)
	beside.Wait()
	c.wait()
	r.lookAgain(ctx)
	r.clearStage()
	return ctx.Err()
}

// byContent puts files of one content together, in the order of the first ones.
func byContent(files []folder.File, without map[int]bool) (groups [][]folder.File) {
	at := map[chunk.Hash]int{}
	for i, f := range files {
		if without[i] {
			continue
		}
		k, ok := at[f.BLAKE3]
		// Two sizes of one hash: one of them is a lie, and is told by itself.
		if !ok || groups[k][0].Size != f.Size {
			k = len(groups)
			at[f.BLAKE3] = k
			groups = append(groups, nil)
		}
		groups[k] = append(groups[k], f)
	}
	return groups
}

// folderRun is one GetFolder.
type folderRun struct {
	GetFolder
	node  *Node
	root  *os.Root
	stage *chunk.Lock // shared with others who fetch into the same folder
	total int64
	share *transfer.Limit

	mu      sync.Mutex
	running map[chunk.Hash]Progress
	placed  map[chunk.Hash]bool // contents that are in all their places
	files   int                 // that are over, well or not
	bytes   int64               // of those that are there
	giveUp  error               // nothing has come for as long as a content may stall, or the disk is full
	looking looking
	looked  time.Time
	rate    rateMeter
	many    transfer.ManyProgress // of what is fetched together
}

// tell says what became of a file.
func (r *folderRun) tell(f FolderFile) {
	f.Path = filepath.Join(r.Dir, filepath.FromSlash(f.File.Path))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files++
	if f.Err == nil {
		r.bytes += f.File.Size
		if f.Fetched > 0 {
			r.looking.came = time.Now()
		}
	}
	if full := diskFull(f.Err); full != nil {
		r.giveUp = full // the rest would be fetched in vain
	}
	if r.Done != nil {
		r.Done(f)
	}
	r.lookLocked(time.Now())
}

// diskFull is what an error says of a disk without room, or nil.
func diskFull(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return full
		}
	}
	return nil
}

// lookLocked shows the progress, if it is time.
func (r *folderRun) lookLocked(now time.Time) {
	if r.Progress == nil || now.Sub(r.looked) < folderProgress && r.files < len(r.Files) {
		return
	}
	r.looked = now
	p := FolderProgress{Files: r.files, FilesTotal: len(r.Files)}
	p.State, p.Done, p.Total = LookingForPeers, r.bytes, r.total
	for _, one := range r.running {
		p.Done += one.Done
		p.Peers, p.Sources = max(p.Peers, one.Peers), max(p.Sources, one.Sources)
		if p.State == LookingForPeers || one.State == Downloading {
			p.State = one.State
		}
	}
	if r.many.Sources > 0 {
		p.State = Downloading
	}
	p.Done = min(p.Done+r.many.Waiting, p.Total)
	p.Peers, p.Sources = max(p.Peers, r.many.Asked), max(p.Sources, r.many.Sources)
	if p.State == LookingForPeers && now.Sub(r.looking.came) < turnLeast {
		p.State = Downloading
	}
	if p.Rate = r.rate.rate(p.Done, now); p.State == Waiting {
		p.Rate = 0
	}
	r.Progress(p)
}

// content brings one content to all its places. It calls free when it turns out to be looked for, and not to come yet.
// When the context has ended it touches nothing: there may be many thousand contents, and somebody waits for the end.
func (r *folderRun) content(ctx context.Context, files []folder.File, free func()) {
	if err := ctx.Err(); err != nil {
		for _, f := range files {
			r.tell(FolderFile{File: f, Err: err})
		}
		return
	}
	var missing []folder.File
	placed := true
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.placed[files[0].BLAKE3] = placed
	}()
	for _, f := range files {
		there, err := r.there(ctx, f)
		switch {
		case err != nil:
			placed = false
			r.tell(FolderFile{File: f, Err: err})
		case there:
			r.tell(FolderFile{File: f, Existed: true})
		default:
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return
	}
	own, err := r.ownStage(missing[0])
	var got Got
	if err == nil {
		defer own()
		got, err = r.fetch(ctx, missing[0], free)
	}
	if r.putOff(missing, got, err) {
		placed = false
		return
	}
	for i, f := range missing {
		done := FolderFile{File: f, Err: err}
		if err == nil {
			if i == 0 {
				done.Fetched, done.Resumed = got.Fetched, got.Resumed
			}
			done.Err = r.place(ctx, r.staged(f.BLAKE3), f, i+1 == len(missing))
		}
		if errors.Is(done.Err, ErrExists) { // another process may have brought it meanwhile
			if there, err := r.there(ctx, f); there && err == nil {
				done.Err, done.Existed = nil, true
			}
		}
		placed = placed && done.Err == nil
		r.tell(done)
	}
}

// there says whether a file is there with the right bytes, and sees to its time. Others are in the way, ErrExists, unless
// they may be replaced.
func (r *folderRun) there(ctx context.Context, f folder.File) (bool, error) {
	name := filepath.FromSlash(f.Path)
	fi, err := r.root.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if fi.Mode().IsRegular() && fi.Size() == f.Size {
		file, err := r.root.Open(name)
		if err != nil {
			return false, err
		}
		sums, err := chunk.Sum(ctx, file, f.Size, nil, nil)
		if err = errors.Join(err, file.Close()); err != nil && !errors.Is(err, chunk.ErrSize) {
			return false, err
		}
		if err == nil && sums.BLAKE3 == f.BLAKE3 {
			return true, r.restore(name, f)
		}
	}
	if !r.Force || fi.IsDir() {
		return false, ErrExists
	}
	return false, nil
}

// taken says whether something has the name of a file.
func (r *folderRun) taken(f folder.File) bool {
	_, err := r.root.Lstat(filepath.FromSlash(f.Path))
	return !errors.Is(err, os.ErrNotExist)
}

// fetch brings a content to the stage.
func (r *folderRun) fetch(ctx context.Context, f folder.File, free func()) (Got, error) {
	r.mu.Lock()
	giveUp, find := r.giveUp, r.looking.patience(r.FindTimeout, time.Now())
	r.running[f.BLAKE3] = Progress{State: LookingForPeers}
	r.mu.Unlock()
	hold := time.AfterFunc(searchHold, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.running[f.BLAKE3].Sources == 0 {
			free()
		}
	})
	defer func() {
		hold.Stop()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.running, f.BLAKE3)
	}()
	switch {
	case giveUp != nil:
		return Got{}, giveUp
	case find == 0:
		return Got{}, &NotFoundError{ID: f.ID(), After: r.FindTimeout}
	}
	tooLong := fmt.Errorf("%w: it has more than the %d bytes that the folder says", ErrIntegrity, f.Size)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	get := Get{
		ID: f.ID(), Also: f.Also(), Size: f.Size, Peers: r.Peers,
		Path: filepath.Join(r.Dir, folder.Stage, f.BLAKE3.String()), Force: true, // what lies there is ours
		FindTimeout: find, StallTimeout: r.StallTimeout, own: true, share: r.share,
		Progress: func(p Progress) {
			if p.Done > f.Size {
				stop(tooLong)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if p.Sources > 0 && p.Done > r.running[f.BLAKE3].Done {
				r.looking.came = time.Now()
			}
			r.running[f.BLAKE3] = p
			r.lookLocked(time.Now())
		},
	}
	got, err := r.node.Get(ctx, get)
	if err == nil && got.Size != f.Size {
		err = fmt.Errorf("%w: it has %d bytes, not %d as the folder says", ErrIntegrity, got.Size, f.Size)
	}
	if err != nil && context.Cause(ctx) == tooLong {
		err = tooLong
	}
	switch {
	case errors.Is(err, ErrIntegrity): // nothing of it is of use
		for _, suffix := range []string{"", ".part", ".part.sharer"} {
			_ = r.root.Remove(r.staged(f.BLAKE3) + suffix) // that it is not there is well
		}
	case errors.Is(err, ErrStalled) && got.Fetched > 0:
		r.mu.Lock()
		if time.Since(r.looking.came) >= r.StallTimeout {
			r.giveUp = err
		}
		r.mu.Unlock()
	}
	if none, ok := errors.AsType[*NotFoundError](err); ok {
		none.After = r.FindTimeout
	}
	return got, err
}

// place gives a content in the stage, from, one of its names: the file itself if it is the last one, else a copy.
func (r *folderRun) place(ctx context.Context, from string, f folder.File, last bool) error {
	name := filepath.FromSlash(f.Path)
	if dir := path.Dir(f.Path); dir != "." {
		if err := r.root.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
			return err
		}
	}
	if !last {
		if err := r.copy(ctx, from, from+".copy"); err != nil {
			return err
		}
		from += ".copy"
	}
	err := r.restore(from, f)
	switch {
	case err != nil:
	case r.Force:
		err = r.root.Rename(from, name)
	default:
		err = r.link(from, name)
	}
	if err == nil && r.node.cfg.Fsync {
		err = r.syncDir(path.Dir(f.Path))
	}
	return err
}

// link renames without replacing anything. Where there are no links it looks first.
func (r *folderRun) link(from, to string) error {
	err := r.root.Link(from, to)
	switch {
	case err == nil:
		return r.root.Remove(from)
	case errors.Is(err, os.ErrExist):
		return ErrExists
	}
	if _, err := r.root.Lstat(to); err == nil {
		return ErrExists
	}
	return r.root.Rename(from, to)
}

func (r *folderRun) copy(ctx context.Context, from, to string) error {
	in, err := r.root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := r.root.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	err = copyPieces(ctx, out, in)
	if err == nil && r.node.cfg.Fsync {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// restore sets time and executable bits as the folder says: who may read it may execute it. No bit is taken away.
func (r *folderRun) restore(name string, f folder.File) error {
	fi, err := r.root.Lstat(name)
	if err != nil {
		return err
	}
	if mode := fi.Mode().Perm(); f.Executable && mode&0o100 == 0 && runtime.GOOS != "windows" {
		if err := r.root.Chmod(name, mode|mode&0o444>>2); err != nil {
			return err
		}
	}
	if f.Mtime == 0 || fi.ModTime().Unix() == f.Mtime {
		return nil
	}
	at := time.Unix(f.Mtime, 0)
	return r.root.Chtimes(name, at, at)
}

// syncDir brings the names in a folder to the disk, where the system can.
func (r *folderRun) syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := r.root.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
