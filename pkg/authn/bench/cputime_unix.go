//go:build unix

package bench

import (
	"syscall"
	"time"
)

// cpuTime is what all threads of this process have used, the garbage
// collector's included. On a shared machine it says more than a wall clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
