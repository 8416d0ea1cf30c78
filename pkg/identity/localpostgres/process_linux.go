package localpostgres

import "syscall"

// attributes drops to the server's user, keeps the terminal's Ctrl-C away from
// the server (the program stops it in order) and ends it with the program.
func attributes(owner *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if owner != nil {
		attr.Credential = &syscall.Credential{Uid: owner.uid, Gid: owner.gid}
	}
	return attr
}
