//go:build darwin || freebsd

package watch

import "golang.org/x/sys/unix"

// perFile is the number of files from which on a folder is not watched: kqueue takes a descriptor for each file of a
// watched folder, and programs get 256 here by default.
const perFile = 128

// localFlag is MNT_LOCAL.
const localFlag = 0x1000

// remote says why changes in a folder are not told by the system, "" if they are: other machines change network drives.
func remote(folder string) string {
	var st unix.Statfs_t
	if unix.Statfs(folder, &st) == nil && uint64(st.Flags)&localFlag == 0 {
		return "others may change it, over the network or through FUSE, which no hint tells"
	}
	return ""
}
