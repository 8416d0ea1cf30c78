package devstack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultStateDir is where the system keeps its data between runs: a folder of
// its own that does not depend on where it was started.
func DefaultStateDir() (string, error) {
	if dir := os.Getenv("SHADOWLESS_STATE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	// The private Postgres of root runs as another user, who cannot enter /root.
	if os.Geteuid() == 0 {
		return "/var/lib/shadowless", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "shadowless"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the data (set SHADOWLESS_STATE_DIR): %w", err)
	}
	return filepath.Join(home, ".local", "state", "shadowless"), nil
}

// State is the folder with everything that outlives a run.
type State struct{ dir string }

// maxSocketPath is what every kernel takes for a Unix socket, in bytes: Linux
// has room for 107, macOS for 103.
const maxSocketPath = 103

// ErrLocked tells that another run uses the state directory.
var ErrLocked = errors.New("another shadowless is running on this state directory")

// OpenState makes the folder, takes it for this process alone and, if fresh is
// set, forgets what was in it.
func OpenState(dir string, fresh bool) (state *State, giveBack func() error, err error) {
	if !filepath.IsAbs(dir) {
		return nil, nil, fmt.Errorf("state directory %q must be an absolute path", dir)
	}
	if socket := filepath.Join(dir, controlSocket); len(socket) > maxSocketPath {
		return nil, nil, fmt.Errorf("state directory %q is too long: the path of a Unix socket in it may have %d bytes", dir, maxSocketPath)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // the server's user must pass through; the folders inside are closed
		return nil, nil, fmt.Errorf("make the state directory: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // as above, for a folder that was there
		return nil, nil, fmt.Errorf("open the state directory to the server's user: %w", err)
	}
	lock, err := take(filepath.Join(dir, "lock"), ErrLocked)
	if err != nil {
		return nil, nil, err
	}
	if fresh {
		if err := forget(dir); err != nil {
			return nil, nil, errors.Join(err, release(lock))
		}
	}
	return &State{dir: dir}, func() error { return release(lock) }, nil
}

// take locks a file for this process until it is closed; taken says who else
// may have it.
func take(path string, taken error) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", taken, filepath.Dir(path)), lock.Close())
	}
	return lock, nil
}

// release gives a lock back at once. Closing alone would wait for a child that
// is between fork and exec and still has the descriptor.
func release(lock *os.File) error {
	return errors.Join(syscall.Flock(int(lock.Fd()), syscall.LOCK_UN), lock.Close())
}

// forget removes only what this package makes: a mistaken --state-dir must not
// cost anybody their files.
func forget(dir string) error {
	for _, name := range []string{"postgres", "nats", "secrets", "config", "keysets", "logs", runningFile, controlSocket} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("forget %s: %w", name, err)
		}
	}
	return nil
}

// Path joins names below the state directory.
func (s *State) Path(names ...string) string {
	return filepath.Join(append([]string{s.dir}, names...)...)
}

// Folder makes and returns a private folder.
func (s *State) Folder(names ...string) (string, error) {
	path := s.Path(names...)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", path, err)
	}
	return path, nil
}

// Write replaces a file whole, readable by its owner alone.
func (s *State) Write(content []byte, names ...string) (string, error) {
	path := s.Path(names...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return path, nil
}

// Secret returns the file of a secret and what it holds; the first time it is
// made by fill.
func (s *State) Secret(name string, fill func() (string, error)) (path, value string, err error) {
	path = s.Path("secrets", name)
	raw, err := os.ReadFile(path)
	if err == nil {
		return path, string(raw), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("read the secret %s: %w", name, err)
	}
	if value, err = fill(); err != nil {
		return "", "", fmt.Errorf("make the secret %s: %w", name, err)
	}
	path, err = s.Write([]byte(value), "secrets", name)
	return path, value, err
}

// RandomSecret has 128 bits or more, as text.
func RandomSecret() (string, error) { return rand.Text(), nil }
