package chunk

import (
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inMemory says whether a file lies in memory, whatever is read of it. Such file systems do not know RWF_NOWAIT.
func inMemory(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC:
		return true
	}
	return false
}

// readNow reads like io.ReaderAt from an open file what the system has in memory (preadv2(2), RWF_NOWAIT), without
// allocating. The error is ErrWouldWait where that is less than up to the end of p or of the file, which has size bytes.
func readNow(f *os.File, p []byte, off, size int64) (int, error) {
	want := min(int64(len(p)), size-off)
	if want <= 0 {
		return 0, io.EOF
	}
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(int(want))
	for {
		n, _, errno := unix.Syscall6(unix.SYS_PREADV2, f.Fd(), uintptr(unsafe.Pointer(&iov)), 1, uintptr(off), uintptr(uint64(off)>>32), unix.RWF_NOWAIT)
		switch {
		case errno == unix.EINTR:
		case errno != 0 || int64(n) < want:
			return 0, ErrWouldWait
		case want < int64(len(p)):
			return int(n), io.EOF
		default:
			return int(n), nil
		}
	}
}

// stampNow is the stamp of an open file, without allocating.
func stampNow(f *os.File) (Stamp, error) {
	var st syscall.Stat_t
	for {
		err := syscall.Fstat(int(f.Fd()), &st)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return Stamp{}, os.NewSyscallError("fstat", err)
		}
		s := Stamp{Size: st.Size, Mtime: st.Mtim.Nano()}
		s.fillFrom(&st)
		return s, nil
	}
}
