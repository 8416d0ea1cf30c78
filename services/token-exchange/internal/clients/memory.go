package clients

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// watchEvery bounds how long a replica does not know of another's change.
	watchEvery = 250 * time.Millisecond
	// watchTimeout bounds one look at the version.
	watchTimeout = 2 * time.Second
	// believed is how long memory holds without a look at the version: what a
	// block takes to reach a replica that has lost the database.
	believed = 10 * time.Second
	// remembered bounds the memory, in keys; their clients are about 1 KiB each.
	remembered = 1 << 16
)

// Versions says which state of clients and keys is the newest. It changes, in the
// order of commits, with every change that can make a proven key worth less.
type Versions interface {
	Version(ctx context.Context) (int64, error)
}

// Memory keeps keys that were proven, so that the next proof costs no look-up. It
// only ever says yes: whatever does not prove a client against it is looked up,
// so a refusal is never out of date and costs the same for known and unknown keys.
type Memory struct {
	versions Versions
	log      *slog.Logger
	now      func() time.Time

	mu      sync.RWMutex
	epoch   uint64 // of what is known; what was looked up in an earlier one is not kept
	version int64
	until   time.Time // nothing is believed from here on
	known   map[string]found
}

type found struct {
	key    *Key
	client *Client // shared by requests: nobody may change it
}

// NewMemory makes an empty memory, which is not believed until Watch runs.
func NewMemory(versions Versions, now func() time.Time, log *slog.Logger) *Memory {
	return &Memory{versions: versions, log: log, now: now, known: map[string]found{}}
}

// Watch forgets everything whenever something changes, until ctx ends, and returns nil.
func (m *Memory) Watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for failing := false; ; {
		err := m.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			m.log.WarnContext(ctx, "proven keys are looked up: nobody says whether they changed", "cause", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *Memory) look(ctx context.Context) error {
	// What changes after the question is in the next answer.
	asked := m.now()
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	version, err := m.versions.Version(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if version != m.version {
		m.version = version
		m.forget()
	}
	m.until = asked.Add(believed)
	return nil
}

// Forget is told of a change that was made here, so that it holds here at once.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
}

func (m *Memory) forget() {
	m.epoch++
	clear(m.known)
}

// find returns what is known of a key, and the epoch in which a look-up begins.
func (m *Memory) find(keyID string) (f found, epoch uint64, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.now().Before(m.until) {
		return found{}, m.epoch, false
	}
	f, ok = m.known[keyID]
	return f, m.epoch, ok
}

// keep remembers what a look-up found that began in an epoch. What changed
// meanwhile may not be in it, so it is not kept then.
func (m *Memory) keep(epoch uint64, keyID string, f found) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch != m.epoch {
		return
	}
	if len(m.known) >= remembered {
		clear(m.known)
	}
	m.known[keyID] = f
}
