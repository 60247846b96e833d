package watch

import "golang.org/x/sys/unix"

// perFile is the number of files from which on a folder is not watched, where each watched file costs a descriptor; 0: none does.
const perFile = 0

// remote says why changes in a folder are not told by the system, "" if they are: other machines change network drives.
func remote(folder string) string {
	var st unix.Statfs_t
	if unix.Statfs(folder, &st) != nil {
		return "" // adding the watch will say why
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.NCP_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC:
		return "others may change it, over the network or through FUSE, which no hint tells"
	}
	return ""
}
