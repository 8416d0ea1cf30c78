//go:build !linux

package faults_test

import "syscall"

// attributes keep the terminal's Ctrl-C away; only Linux can end the process with
// the test.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
