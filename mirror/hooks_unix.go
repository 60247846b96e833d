//go:build unix

package mirror

import (
	"os/exec"
	"syscall"
)

// whole has a command that is stopped take with it what it has started.
func whole(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
