package chunk

import (
	"os"
	"syscall"
)

func (s *Stamp) fill(fi os.FileInfo) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.fillFrom(st)
	}
}

func (s *Stamp) fillFrom(st *syscall.Stat_t) {
	s.Ctime = st.Ctim.Nano()
	s.Ino, s.Dev = uint64(st.Ino), uint64(st.Dev)
}
