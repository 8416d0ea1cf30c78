// Package faults kills parts of the running system and shows that nothing that
// was accepted is lost.
package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
)

const (
	patience = 60 * time.Second
	poll     = 25 * time.Millisecond
)

// binaries are the services' own commands, each built once.
var binaries struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "shadowless-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries.dir, binaries.built = dir, map[string]string{}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func binary(t *testing.T, service string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if path, ok := binaries.built[service]; ok {
		return path
	}
	path := filepath.Join(binaries.dir, service)
	out, err := exec.Command("go", "build", "-o", path, "github.com/shadowless/shadowless/services/"+service+"/cmd/"+service).CombinedOutput() //nolint:gosec // names of this repository
	require.NoError(t, err, string(out))
	binaries.built[service] = path
	return path
}

// system is everything but one service in this process, and that one as a
// process of its own, started by its own command from its environment alone.
type system struct {
	*devstack.Stack
	t       *testing.T
	service string
	process *exec.Cmd
}

func start(t *testing.T, service string) *system {
	t.Helper()
	dir, err := os.MkdirTemp("", "shadowless-faults-")
	require.NoError(t, err)
	ports, release, err := devstack.FreePorts()
	require.NoError(t, err)
	t.Cleanup(release)
	stack, err := devstack.Start(context.Background(), devstack.Config{StateDir: dir, Ports: ports, SkipFsync: true, Without: []string{service}})
	require.NoError(t, err)
	s := &system{Stack: stack, t: t, service: service}
	s.launch()
	t.Cleanup(func() {
		s.kill()
		require.NoError(t, stack.Stop())
		require.NoError(t, os.RemoveAll(dir))
	})
	s.ready()
	return s
}

// launch starts the service's command.
func (s *system) launch() {
	s.t.Helper()
	environ, err := s.Environ(s.service)
	require.NoError(s.t, err)
	s.process = exec.Command(binary(s.t, s.service)) //nolint:gosec // built above
	s.process.Env = environ
	log, err := os.OpenFile(filepath.Join(s.Running.StateDir, "logs", s.service+".log"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(s.t, err)
	defer log.Close() //nolint:errcheck // the child has its own descriptor
	s.process.Stdout, s.process.Stderr = log, log
	require.NoError(s.t, s.process.Start())
}

// kill is kill -9: no chance to finish anything.
func (s *system) kill() {
	if s.process.ProcessState != nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // "signal: killed"
}

func (s *system) ready() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		res, err := http.Get(s.Running.Ports.URL(s.service) + "/readyz") //nolint:noctx // bounded by Eventually
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, patience, poll, s.service+" is not ready")
}
