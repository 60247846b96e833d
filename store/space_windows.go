package store

import "golang.org/x/sys/windows"

// diskSpace asks how many bytes are free to us on the disk of a folder, and how many it has.
func diskSpace(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var mine, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, &all, &unused); err != nil {
		return 0, 0, err
	}
	return int64(mine), int64(all), nil
}
