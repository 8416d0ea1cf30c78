package devstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sync/errgroup"

	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

// How the development IdP behaves.
const (
	Promised = "promised"
	Observed = "observed"
)

// Config of one system.
type Config struct {
	StateDir    string
	Fresh       bool
	DatabaseURL string // an existing server's administrator; empty starts a private one
	As          string // Promised (default) or Observed
	Ports       Ports  // nil: DefaultPorts
	LogLevel    slog.Level
	// Without names services that are prepared but not started: somebody else
	// runs them, with the environment of Environ. NATS may be among them where no
	// service is started: then its streams, too, are for somebody else to declare.
	Without []string
	// SkipFsync trades the private Postgres's durability for speed. For tests.
	SkipFsync bool
}

// Stack is a system that is up.
type Stack struct {
	Running    Running
	state      *State
	release    func() error
	postgres   *localpostgres.Server
	broker     *server.Server
	supervisor *supervisor
	control    *http.Server
	client     *http.Client
	logs       []*os.File
	flush      func(context.Context) error
	programs   []program
	stopping   atomic.Bool
}

const askTimeout = 3 * time.Second

// Start brings everything up and returns when each service is ready. What is
// half up when something fails is stopped again.
func Start(ctx context.Context, cfg Config) (_ *Stack, err error) {
	if cfg.As == "" {
		cfg.As = Promised
	}
	if cfg.As != Promised && cfg.As != Observed {
		return nil, fmt.Errorf("the IdP can behave as %s or %s, not as %q", Promised, Observed, cfg.As)
	}
	for _, name := range cfg.Without {
		if !slices.Contains(WithDatabase, name) && name != NATS {
			return nil, fmt.Errorf("%w: %s (there are %s)", ErrUnknownService, name, strings.Join(WithDatabase, ", "))
		}
	}
	if slices.Contains(cfg.Without, NATS) && slices.ContainsFunc(WithDatabase, func(name string) bool { return !slices.Contains(cfg.Without, name) }) {
		return nil, errors.New("nats can be run by somebody else only if every service is")
	}
	database, err := databaseAddress(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Ports == nil {
		cfg.Ports = DefaultPorts()
	}
	s := &Stack{
		supervisor: newSupervisor(), client: &http.Client{Timeout: askTimeout},
		Running: Running{PID: os.Getpid(), As: cfg.As, StateDir: cfg.StateDir, Ports: cfg.Ports, Database: database},
	}
	if s.state, s.release, err = OpenState(cfg.StateDir, cfg.Fresh); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	skip := slices.Clone(cfg.Without)
	if cfg.DatabaseURL != "" {
		skip = append(skip, Postgres)
	}
	if err := cfg.Ports.InUse(skip...); err != nil {
		return nil, err
	}
	if s.flush, err = telemetry.Setup(ctx, "shadowless"); err != nil {
		return nil, err
	}
	if err := s.startInfrastructure(ctx, cfg); err != nil {
		return nil, err
	}
	if s.programs, err = programs(s.state, cfg); err != nil {
		return nil, err
	}
	if err := s.startServices(ctx, cfg); err != nil {
		return nil, err
	}
	if s.control, err = s.serveControl(); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(s.Running, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe what runs: %w", err)
	}
	_, err = s.state.Write(raw, runningFile)
	return s, err
}

// startInfrastructure brings up Postgres and NATS side by side.
func (s *Stack) startInfrastructure(ctx context.Context, cfg Config) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		admin := cfg.DatabaseURL
		if admin == "" {
			var err error
			// Not in group's context: the server outlives the start.
			s.postgres, err = localpostgres.Start(context.WithoutCancel(ctx), localpostgres.Config{
				Dir: s.state.Path("postgres"), Port: cfg.Ports[Postgres], SkipFsync: cfg.SkipFsync, MaxConnections: 300,
			})
			if err != nil {
				return err
			}
			admin = s.postgres.AdminURL()
			go s.watchPostgres()
		} else if cfg.Fresh {
			if err := forgetDatabases(ctx, admin); err != nil {
				return err
			}
		}
		return provision(ctx, s.state, admin)
	})
	group.Go(func() error {
		if slices.Contains(cfg.Without, NATS) {
			_, err := brokerOptions(s.state, cfg.Ports[NATS]) // makes the keys
			return err
		}
		log, err := s.logger(NATS, cfg.LogLevel)
		if err != nil {
			return err
		}
		if s.broker, err = startBroker(s.state, cfg.Ports[NATS], log); err != nil {
			return err
		}
		return declareStreams(ctx, s.state, cfg.Ports, log)
	})
	return group.Wait()
}

// watchPostgres ends the system when its server ends before it: nobody would
// start that again.
func (s *Stack) watchPostgres() {
	<-s.postgres.Exited()
	if !s.stopping.Load() {
		s.supervisor.fail(fmt.Errorf("postgres ended without being asked; see %s", s.state.Path("postgres", "server.log")))
	}
}

func (s *Stack) startServices(ctx context.Context, cfg Config) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range s.programs {
		log, err := s.logger(p.name, cfg.LogLevel)
		if err != nil {
			return err
		}
		s.supervisor.add(p, log)
		if slices.Contains(cfg.Without, p.name) {
			s.supervisor.leave(p.name)
			continue
		}
		if err := s.supervisor.start(p.name); err != nil {
			return err
		}
		group.Go(func() error { return waitReady(ctx, s.client, p.name, cfg.Ports.URL(p.name)) })
	}
	ready := make(chan error, 1)
	go func() { ready <- group.Wait() }()
	select {
	case err := <-ready:
		if err == nil {
			return nil
		}
		select {
		case failed := <-s.supervisor.failed:
			return failed
		default:
			return err
		}
	case err := <-s.supervisor.failed:
		return err
	}
}

// Failed delivers the end of a service that nobody asked for.
func (s *Stack) Failed() <-chan error { return s.supervisor.failed }

// Environ is the environment of a service's own command in this system.
func (s *Stack) Environ(service string) ([]string, error) {
	for _, p := range s.programs {
		if p.name == service {
			return p.env, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownService, service)
}

// logger writes a service's lines to a file of its own.
func (s *Stack) logger(name string, level slog.Level) (*slog.Logger, error) {
	folder, err := s.state.Folder("logs")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(folder+"/"+name+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	s.logs = append(s.logs, f)
	return telemetry.NewLogger(f, name, level), nil
}

// Stop ends the services, then NATS, then Postgres, and leaves the data.
func (s *Stack) Stop() error {
	s.stopping.Store(true)
	var faults []error
	if s.control != nil {
		faults = append(faults, s.control.Close(), os.Remove(s.state.Path(runningFile)))
	}
	faults = append(faults, s.supervisor.stopAll())
	if s.broker != nil {
		s.broker.Shutdown()
		s.broker.WaitForShutdown()
	}
	if s.postgres != nil {
		faults = append(faults, s.postgres.Stop())
	}
	if s.flush != nil {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		// No collector is no failure of the system.
		_ = s.flush(ctx)
	}
	for _, f := range s.logs {
		faults = append(faults, f.Close())
	}
	return errors.Join(append(faults, s.release())...)
}
