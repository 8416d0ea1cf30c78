package faults_test

import "syscall"

// attributes end the process with the test, whatever becomes of that.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
