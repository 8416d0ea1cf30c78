package devstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/shadowless/shadowless/internal/config"
)

// ErrUnknownService names a service that this system does not run.
var ErrUnknownService = errors.New("there is no such service")

// ErrForeign names a service of the system that somebody else runs (--without).
var ErrForeign = errors.New("this service is run by somebody else, who must stop and start it")

// program is one service: the environment of its command and its Run.
type program struct {
	name string
	env  []string
	run  func(ctx context.Context, environ []string, log *slog.Logger) error
}

// runner reads the configuration as the service's own command does, so that
// what runs here would run there.
func runner[C any](prefix string, run func(context.Context, C, *slog.Logger) error) func(context.Context, []string, *slog.Logger) error {
	return func(ctx context.Context, environ []string, log *slog.Logger) error {
		cfg, err := config.Load[C](prefix, environ)
		if err != nil {
			return err
		}
		return run(ctx, cfg, log)
	}
}

// supervisor runs programs in this process and can stop and start each.
type supervisor struct {
	mu       sync.Mutex
	programs map[string]program
	logs     map[string]*slog.Logger
	running  map[string]*instance
	foreign  map[string]bool // run by somebody else
	failed   chan error      // the first end that nobody asked for
}

type instance struct {
	stop  context.CancelFunc
	ended chan struct{}
	err   error // valid after ended, as is told
	told  bool  // the end went to failed
}

func newSupervisor() *supervisor {
	return &supervisor{programs: map[string]program{}, logs: map[string]*slog.Logger{}, running: map[string]*instance{}, foreign: map[string]bool{}, failed: make(chan error, 1)}
}

func (s *supervisor) add(p program, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs[p.name], s.logs[p.name] = p, log
}

// leave hands a program to somebody else, who starts and stops it.
func (s *supervisor) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign[name] = true
}

// fail ends the system, unless an earlier failure already does.
func (s *supervisor) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// start runs a program that is not running.
func (s *supervisor) start(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.programs[name]
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknownService, name)
	}
	if s.foreign[name] {
		return fmt.Errorf("%w: %s", ErrForeign, name)
	}
	if _, ok := s.running[name]; ok {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	i := &instance{stop: stop, ended: make(chan struct{})}
	s.running[name] = i
	log := s.logs[name]
	go func() {
		i.err = p.run(ctx, p.env, log)
		i.told = ctx.Err() == nil
		close(i.ended)
		if i.told {
			err := i.err
			if err == nil {
				err = errors.New("ended without being asked")
			}
			s.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
	return nil
}

// stop ends a program in order and waits for it.
func (s *supervisor) stop(name string) error {
	s.mu.Lock()
	i, ok := s.running[name]
	delete(s.running, name)
	_, known := s.programs[name]
	foreign := s.foreign[name]
	s.mu.Unlock()
	switch {
	case !known:
		return fmt.Errorf("%w: %s", ErrUnknownService, name)
	case foreign:
		return fmt.Errorf("%w: %s", ErrForeign, name)
	case !ok:
		return nil
	}
	i.stop()
	<-i.ended
	if i.told || errors.Is(i.err, context.Canceled) { // it was still starting
		return nil
	}
	return i.err
}

// stopAll ends every program at once.
func (s *supervisor) stopAll() error {
	s.mu.Lock()
	names := make([]string, 0, len(s.running))
	for name := range s.running {
		names = append(names, name)
	}
	s.mu.Unlock()
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			if err := s.stop(name); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

const (
	readyPoll    = 50 * time.Millisecond
	readyTimeout = 60 * time.Second // a cold start of everything on 2 busy cores took 6 s
)

// waitReady asks a service's /readyz until it answers 200.
func waitReady(ctx context.Context, client *http.Client, name, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := askReady(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, err)
		case <-tick.C:
		}
	}
}

func askReady(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil) //nolint:gosec // a service of ours, on this machine
	if err != nil {
		return err
	}
	res, err := client.Do(req) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read whole or not needed
	if res.StatusCode == http.StatusOK {
		return nil
	}
	var body struct {
		WaitingFor []string `json:"waiting_for"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return fmt.Errorf("it answers %d", res.StatusCode)
	}
	return fmt.Errorf("it waits for %s", strings.Join(body.WaitingFor, ", "))
}
