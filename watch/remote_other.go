//go:build !(linux || darwin || freebsd)

package watch

// perFile is the number of files from which on a folder is not watched, where each watched file costs a descriptor; 0: none does.
const perFile = 0

// remote would say why changes in a folder are not told by the system. This one does not tell: the walk of what is watched, each
// ten minutes, has to do.
func remote(string) string { return "" }
