package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/gobuild"
)

const (
	patience       = 60 * time.Second
	attemptTimeout = 10 * time.Second
	poll           = 25 * time.Millisecond
)

// built is the one binary of all processes; without the race detector, which
// watches the test.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "shadowless-faults-bin-"); built.err == nil {
			built.err = build(filepath.Join(built.dir, "program"))
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "program")
}

func build(path string, flags ...string) error {
	args := slices.Concat([]string{"build"}, gobuild.Flags(), flags, []string{"-o", path, "./program"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil { //nolint:gosec // this repository's own command
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// process is one part of the system.
type process struct {
	cmd  *exec.Cmd
	args []string
	env  []string
	path string
}

// launch starts a service; overrides replace variables of its environment.
func (s *system) launch(t *testing.T, service string, overrides ...string) {
	t.Helper()
	environ, err := s.stack.Environ(service)
	require.NoError(t, err)
	s.spawn(t, service, []string{service}, override(environ, append(append([]string{"NATS_URL=" + s.natsURL()}, settings[service]...), overrides...)))
}

// override lets later variables win.
func override(environ, by []string) []string {
	replaced := map[string]string{}
	for _, v := range by {
		name, _, _ := strings.Cut(v, "=")
		replaced[name] = v
	}
	var out []string
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if replaced[name] == "" {
			out = append(out, v)
		}
	}
	for _, v := range replaced {
		out = append(out, v)
	}
	return out
}

func (s *system) spawn(t *testing.T, name string, args, env []string) {
	t.Helper()
	s.run(t, name, &process{path: binary(t), args: args, env: env})
}

func (s *system) run(t *testing.T, name string, p *process) {
	t.Helper()
	p.cmd = exec.Command(p.path, p.args...) //nolint:gosec // built above
	p.cmd.Env = p.env
	p.cmd.SysProcAttr = attributes()
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "logs"), 0o700))
	log, err := os.OpenFile(filepath.Join(s.dir, "logs", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close() //nolint:errcheck // the child has its own descriptor
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[name] = p
}

// kill is kill -9: no chance to finish anything. What does not run is left alone.
func (s *system) kill(t *testing.T, name string) {
	t.Helper()
	s.mu.Lock()
	p := s.processes[name]
	delete(s.processes, name)
	s.mu.Unlock()
	if p == nil {
		return
	}
	require.NoError(t, p.cmd.Process.Kill(), name+" had ended before it was killed")
	_ = p.cmd.Wait() // "signal: killed"
}

// again starts a killed process as it was started first.
func (s *system) again(t *testing.T, name string) {
	t.Helper()
	if slices.Contains(s.brokers(), name) {
		s.launchNATS(t, name)
		return
	}
	s.launch(t, name)
	s.ready(t, name)
}

func (s *system) ready(t *testing.T, service string) {
	t.Helper()
	eventually(t, service+" is ready", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.stack.Running.Ports.URL(service)+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("answers %d", res.StatusCode)
		}
		return nil
	})
}

// eventually repeats check until it returns nil and fails the test with its last
// error when patience is at an end.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	require.NoError(t, until(t.Context(), check), what)
}

func until(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var last error
	for {
		// An answer that got lost must not use up the patience.
		attempt, done := context.WithTimeout(ctx, attemptTimeout)
		err := check(attempt)
		done()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}
