package mirror

import "golang.org/x/sys/windows"

// diskSpace asks what there is where a folder lies.
func diskSpace(dir string) (Disk, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Disk{}, err
	}
	var mine, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, &all, &unused); err != nil {
		return Disk{}, err
	}
	return Disk{Free: int64(mine), Total: int64(all), Inodes: -1}, nil
}
