package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one that is measured from outside.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	log    string
}

// Start runs this very program with arguments, with nothing but PATH, GOGC and
// environ in its environment; what it says goes to the file log. The caller
// calls Ready, where it serves, and Stop.
func Start(log string, arguments, environ []string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	logs, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	defer logs.Close()                                                                          //nolint:errcheck // the process has its own
	p := &Process{cmd: exec.Command(self, arguments...), exited: make(chan struct{}), log: log} //nolint:noctx,gosec // stopped in order, by Stop
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	if collect := os.Getenv("GOGC"); collect != "" { // for all of them alike
		p.cmd.Env = append(p.cmd.Env, "GOGC="+collect)
	}
	p.cmd.Stdout, p.cmd.Stderr = logs, logs
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(arguments, " "), err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// ErrEnded is returned by Ready for a process that is gone.
var ErrEnded = errors.New("it ended before it was ready")

const startTimeout = 30 * time.Second

// Ready waits until url answers 200; its error quotes what the process said.
func (p *Process) Ready(ctx context.Context, url string) error {
	if err := p.await(ctx, url); err != nil {
		said, _ := os.ReadFile(p.log)
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

func (p *Process) await(ctx context.Context, ready string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.exited:
			return ErrEnded
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop asks the process to end, and after 30 s makes it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(startTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// ticks of the kernel's clock a second (USER_HZ), the same on every Linux.
const ticks = 100

// CPU is the time that the process has had, in user and in system mode.
func (p *Process) CPU() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the command in parentheses and may hold anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const user, system = 11, 12
	var sum int64
	for _, i := range []int{user, system} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// Memory of a process, in bytes: what it holds now, and the most that it has held
// since its start or ForgetPeak.
type Memory struct{ Resident, Peak int64 }

// Memory asks the kernel.
func (p *Process) Memory() (m Memory, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return m, fmt.Errorf("read the memory of a process: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		name, rest, _ := strings.Cut(line, ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &m.Resident
		case "VmHWM":
			into = &m.Peak
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return m, fmt.Errorf("read the memory of a process: %w", err)
		}
		*into = kib << 10
	}
	if m.Resident == 0 || m.Peak == 0 {
		return m, errors.New("the kernel does not say how much memory the process has")
	}
	return m, nil
}

// ForgetPeak makes Memory's Peak begin anew (proc(5), clear_refs).
func (p *Process) ForgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

// Wait waits for the process to end by itself.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
