package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one that is measured from outside.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// startProcess runs this program in a mode until it is stopped, and waits until
// ready answers.
func (b *bench) startProcess(ctx context.Context, mode, ready string, environ ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	logs, err := os.Create(filepath.Join(b.dir, mode+strconv.Itoa(len(b.started))+".log"))
	if err != nil {
		return nil, err
	}
	defer logs.Close()                                                        //nolint:errcheck // the process has its own
	p := &process{cmd: exec.Command(self, mode), exited: make(chan struct{})} //nolint:noctx,gosec // stopped in order, by stop
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true"}, environ...)
	if collect := os.Getenv("GOGC"); collect != "" { // for all of them alike
		p.cmd.Env = append(p.cmd.Env, "GOGC="+collect)
	}
	p.cmd.Stdout, p.cmd.Stderr = logs, logs
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", mode, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	b.started = append(b.started, p)
	if err := p.await(ctx, ready); err != nil {
		said, _ := os.ReadFile(logs.Name())
		return nil, fmt.Errorf("%s: %w\n%s", mode, err, said)
	}
	return p, nil
}

const startTimeout = 30 * time.Second

func (p *process) await(ctx context.Context, ready string) error {
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
			return errors.New("it ended before it was ready")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *process) stop() {
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

// cpu is the time that the process has had, in user and in system mode.
func (p *process) cpu() (time.Duration, error) {
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

// resident is the memory that the process holds, in bytes.
func (p *process) resident() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the kernel does not say how much memory it has")
}
