package devstack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	runningFile   = "running.json"
	controlSocket = "control.sock"

	controlTimeout = 90 * time.Second // a start waits until the service is ready
)

// Running describes a system that is up, for the commands that talk to it.
type Running struct {
	PID      int    `json:"pid"`
	As       string `json:"as"` // how the development IdP behaves: promised or observed
	StateDir string `json:"state_dir"`
	Ports    Ports  `json:"ports"`
	Database string `json:"database,omitempty"` // host:port of a Postgres that is not the system's own
}

// ErrNotRunning tells that no system is up on the state directory.
var ErrNotRunning = errors.New("no system is running here; start one with `shadowless up`")

// FindRunning reads what runs on a state directory and checks that it answers.
func FindRunning(ctx context.Context, stateDir string) (*Running, error) {
	raw, err := os.ReadFile(filepath.Join(stateDir, runningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", runningFile, err)
	}
	var r Running
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", runningFile, err)
	}
	if err := r.control(ctx, http.MethodGet, "/status"); err != nil {
		return nil, ErrNotRunning
	}
	return &r, nil
}

// ErrReserved tells that another journey walks through the system.
var ErrReserved = errors.New("another demo is walking through this system; wait until it has ended")

// Reserve takes the running system for one journey at a time: each stops
// services that the others need.
func (r *Running) Reserve() (giveBack func() error, err error) {
	lock, err := take(filepath.Join(r.StateDir, "demo.lock"), ErrReserved)
	if err != nil {
		return nil, err
	}
	return func() error { return release(lock) }, nil
}

// StopService ends one service of the running system, as an outage would.
func (r *Running) StopService(ctx context.Context, name string) error {
	return r.control(ctx, http.MethodPost, "/services/"+name+"/stop")
}

// StartService brings it back and waits until it is ready.
func (r *Running) StartService(ctx context.Context, name string) error {
	return r.control(ctx, http.MethodPost, "/services/"+name+"/start")
}

// SecretFile is the path of one of the system's secrets.
func (r *Running) SecretFile(name string) string { return filepath.Join(r.StateDir, "secrets", name) }

// EnvironFile holds the environment of a service's own command.
func (r *Running) EnvironFile(service string) string {
	return filepath.Join(r.StateDir, "config", service+".env")
}

func (r *Running) control(ctx context.Context, method, path string) error {
	socket := filepath.Join(r.StateDir, controlSocket)
	client := &http.Client{Timeout: controlTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://shadowless"+path, nil)
	if err != nil {
		return fmt.Errorf("make the control request: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("control the running system: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read below or not needed
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	var message bytes.Buffer
	if _, err := message.ReadFrom(http.MaxBytesReader(nil, res.Body, 4<<10)); err != nil {
		return fmt.Errorf("control the running system: %w", err)
	}
	return fmt.Errorf("control the running system: %s", bytes.TrimSpace(message.Bytes()))
}

// serveControl lets the owner of the state directory stop and start services.
func (s *Stack) serveControl() (*http.Server, error) {
	path := s.state.Path(controlSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the control socket to others: %w", err), listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /services/{name}/stop", controlled(func(_ context.Context, name string) error {
		return s.supervisor.stop(name)
	}))
	mux.HandleFunc("POST /services/{name}/start", controlled(func(ctx context.Context, name string) error {
		if err := s.supervisor.start(name); err != nil {
			return err
		}
		return waitReady(ctx, s.client, name, s.Running.Ports.URL(name))
	}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return server, nil
}

func controlled(do func(context.Context, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := do(r.Context(), r.PathValue("name")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
