package localpostgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "postgres"
	passwordFile = "superuser.password"
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
)

// Config says where the server lives.
type Config struct {
	// Dir keeps the data and the superuser's password; it is made if it is
	// missing. Every folder above it must let the server's user through.
	Dir string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// SkipFsync trades the data for speed when the machine crashes. For tests.
	SkipFsync bool
	// MaxConnections is the server's limit; 0 means 100.
	MaxConnections int
}

// Server is a running private PostgreSQL.
type Server struct {
	port     int
	password string
	process  *os.Process
	exited   chan struct{} // closed when the process has ended
	waitErr  error         // valid after exited
}

// Start makes the data folder if it is new, starts the server and waits until
// it answers. It returns ErrNotInstalled where there are no binaries.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(cfg.Dir, "data")
	if err := prepare(cfg.Dir, owner); err != nil {
		return nil, err
	}
	password, err := initialize(ctx, bin, cfg.Dir, data, owner)
	if err != nil {
		return nil, err
	}
	port := cfg.Port
	if port == 0 {
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	s := &Server{port: port, password: password, exited: make(chan struct{})}
	logFile, err := os.OpenFile(filepath.Join(cfg.Dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	defer logFile.Close() //nolint:errcheck // the child has its own descriptor
	//nolint:gosec,noctx // a program of the machine's own; Stop ends it, not ctx
	cmd := exec.Command(filepath.Join(bin, "postgres"), settings(cfg, data, port)...)
	cmd.Dir = cfg.Dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = attributes(owner)
	if err := s.launch(cmd); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres did not come up (see %s): %w", logFile.Name(), err), s.Stop())
	}
	return s, nil
}

// launch starts the process from a thread that lives as long as the process:
// the kernel sends the parent-death signal when that thread ends, not when the
// program does (prctl(2), PR_SET_PDEATHSIG).
func (s *Server) launch(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		s.process = cmd.Process
		started <- nil
		s.waitErr = cmd.Wait()
		close(s.exited)
	}()
	return <-started
}

func settings(cfg Config, data string, port int) []string {
	connections := cfg.MaxConnections
	if connections == 0 {
		connections = 100
	}
	options := []string{
		"-D", data,
		"-c", "listen_addresses=127.0.0.1",
		"-c", "port=" + strconv.Itoa(port),
		"-c", "unix_socket_directories=",
		"-c", "max_connections=" + strconv.Itoa(connections),
		"-c", "timezone=UTC",
	}
	if cfg.SkipFsync {
		options = append(options, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
	}
	return options
}

// prepare makes dir and hands it to the server's user.
func prepare(dir string, owner *account) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("the data folder %q must be an absolute path", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if owner == nil {
		return nil
	}
	if err := os.Chown(dir, int(owner.uid), int(owner.gid)); err != nil {
		return fmt.Errorf("hand the data folder to %s: %w", owner.name, err)
	}
	return owner.canReach(dir)
}

// initialize runs initdb once and returns the superuser's password.
func initialize(ctx context.Context, bin, dir, data string, owner *account) (string, error) {
	path := filepath.Join(dir, passwordFile)
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		password, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the superuser's password: %w", err)
		}
		return string(password), nil
	}
	// A folder that initdb left half made has no use; PG_VERSION comes early,
	// global/pg_control late, but only a whole run is followed by the rename.
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", fmt.Errorf("remove a half-made data folder: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("write the superuser's password: %w", err)
	}
	if owner != nil {
		if err := os.Chown(path, int(owner.uid), int(owner.gid)); err != nil {
			return "", fmt.Errorf("hand the password file to %s: %w", owner.name, err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), //nolint:gosec // a program of the machine's own
		"-D", fresh, "-U", superuser, "--pwfile="+path, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = dir
	cmd.SysProcAttr = attributes(owner)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb in %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(fresh, data); err != nil {
		return "", fmt.Errorf("keep the new data folder: %w", err)
	}
	return password, nil
}

func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.AdminURL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended: %w", s.waitErr)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// AdminURL connects as the superuser to the database "postgres".
func (s *Server) AdminURL() string { return s.URL("postgres", superuser, s.password) }

// Admin is the superuser's login.
func (s *Server) Admin() Role { return Role{Name: superuser, Password: s.password} }

// URL connects to a database of this server as the given role.
func (s *Server) URL(database, role, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Exited is closed when the server has ended, asked or not.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Stop ends the server: connections are closed and the data is left consistent
// (a "fast" shutdown). Stopping twice is safe.
func (s *Server) Stop() error {
	select {
	case <-s.exited:
		return nil
	default:
	}
	if err := s.process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("postgres did not stop in time, killed"), s.process.Kill())
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener's address
	return port, l.Close()
}
