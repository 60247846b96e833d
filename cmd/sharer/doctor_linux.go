package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lookAtSystem looks at limits of the system.
func lookAtSystem() (found []diagnosis) {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		found = append(found, atLeast("open files", int64(min(files.Cur, 1<<62)), leastFiles, fmt.Sprintf("%d", files.Cur), "Raise it: ulimit -n 4096, or LimitNOFILE= of the unit"))
	}
	if n, ok := sysctl("fs/inotify/max_user_watches"); ok {
		found = append(found, atLeast("watches", n, leastWatches, fmt.Sprintf("%d folders", n), "Raise it: sysctl fs.inotify.max_user_watches=524288"))
	}
	if n, ok := sysctl("net/core/rmem_max"); ok {
		if os.Geteuid() == 0 {
			n = leastBuffer // root may pass the limit
		}
		found = append(found, atLeast("receive buffer", n, leastBuffer, formatSize(min(n, leastBuffer))+" are granted", fmt.Sprintf("For fast downloads: sysctl net.core.rmem_max=%d", leastBuffer)))
	}
	return found
}

func sysctl(name string) (int64, bool) {
	text, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// clockTrouble says what the kernel knows against the clock, "" if nothing.
func clockTrouble() string {
	var t unix.Timex // asked, not set: Modes is 0
	if state, err := unix.Adjtimex(&t); err == nil && state == unix.TIME_ERROR {
		return "nothing keeps the clock right"
	}
	return ""
}

// portOwner finds who has a port bound, in /proc: no socket is opened for that.
func portOwner(network string, port int) (p portUser, taken bool, err error) {
	var inodes []string
	for _, table := range []string{network, network + "6"} {
		found, err := boundInodes("/proc/net/"+table, port)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return p, false, err
		}
		inodes = append(inodes, found...)
	}
	if len(inodes) == 0 {
		return p, false, nil
	}
	return ownerOf(inodes), true, nil
}

// boundInodes are the sockets of a table that are bound to a port, for TCP those that listen.
func boundInodes(table string, port int) (inodes []string, err error) {
	f, err := os.Open(table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		const local, state, inode = 1, 3, 9 // columns
		cells := strings.Fields(lines.Text())
		if len(cells) > inode && strings.HasSuffix(cells[local], suffix) && (!strings.Contains(table, "tcp") || cells[state] == "0A") {
			inodes = append(inodes, cells[inode])
		}
	}
	return inodes, lines.Err()
}

// ownerOf finds the process that has one of the sockets open. Those of other users cannot be looked into.
func ownerOf(inodes []string) portUser {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is good
	for _, l := range links {
		to, err := os.Readlink(l)
		if err != nil {
			continue
		}
		for _, inode := range inodes {
			if to != "socket:["+inode+"]" {
				continue
			}
			dir := filepath.Dir(filepath.Dir(l))
			pid, _ := strconv.Atoi(filepath.Base(dir)) // digits: the pattern says so
			name, err := os.ReadFile(filepath.Join(dir, "comm"))
			if err != nil {
				name = []byte("a process")
			}
			return portUser{pid, strings.TrimSpace(string(name))}
		}
	}
	return portUser{}
}
