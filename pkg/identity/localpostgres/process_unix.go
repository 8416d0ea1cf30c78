//go:build unix && !linux

package localpostgres

import "syscall"

// attributes drops to the server's user and keeps the terminal's Ctrl-C away.
// Only Linux can end the server when the program is killed.
func attributes(owner *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if owner != nil {
		attr.Credential = &syscall.Credential{Uid: owner.uid, Gid: owner.gid}
	}
	return attr
}
