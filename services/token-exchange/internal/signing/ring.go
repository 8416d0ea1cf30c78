package signing

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// ErrNoKey: no key may sign yet, because none could be loaded.
var ErrNoKey = errors.New("no signing key is loaded")

// ErrStale: the keys were read too long ago to sign: they may have been replaced.
var ErrStale = errors.New("the signing keys were read too long ago")

// Store keeps the keys.
type Store interface {
	// SigningKeys lists all keys in the order in which they sign.
	SigningKeys(ctx context.Context) ([]Record, error)
	// Rotate runs plan over all keys while no other replica can, applies what it
	// decides, records who asked for it, and returns the keys as they then are.
	Rotate(ctx context.Context, plan Plan) ([]Record, error)
}

// Ring is the keys in memory. It is safe for concurrent use.
type Ring struct {
	store    Store
	secrets  *keyring.Ring
	schedule Schedule
	now      func() time.Time
	log      *slog.Logger
	state    atomic.Pointer[state]
	loaded   chan struct{} // closed by the first load
	once     sync.Once
}

type state struct {
	keys   []*Key // in the order in which they sign
	views  []view // in the order of time
	readAt time.Time
}

// NewRing makes an empty ring. Rotate fills it.
func NewRing(store Store, secrets *keyring.Ring, schedule Schedule, now func() time.Time, log *slog.Logger) *Ring {
	return &Ring{store: store, secrets: secrets, schedule: schedule, now: now, log: log, loaded: make(chan struct{})}
}

// Rotate makes the key that is due, removes those that are past their
// retention, seals anew what an older key sealed, and loads the result. Any
// replica may call it at any time; only where something is due it costs a lock.
func (r *Ring) Rotate(ctx context.Context) error {
	began := r.now()
	records, err := r.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	if !r.due(records) {
		return r.load(records, began)
	}
	return r.change(ctx, func(keys []Record) (Change, error) { return r.scheduled(ctx, keys) })
}

func (r *Ring) due(keys []Record) bool {
	_, create, removed := r.schedule.plan(keys, r.instant())
	return create || len(removed) > 0 || slices.ContainsFunc(keys, func(k Record) bool {
		return k.EncryptionKeyID != r.secrets.CurrentID() && r.secrets.Has(k.EncryptionKeyID)
	})
}

// retryEvery is how soon a rotation that failed is tried again.
const retryEvery = time.Second

// Run rotates now and then every Schedule.ReadEvery, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	interval := r.schedule.ReadEvery()
	for {
		wait := interval
		if err := r.Rotate(ctx); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "signing keys", "cause", err)
			wait = min(retryEvery, interval)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// load opens what is new; a key is decrypted once.
func (r *Ring) load(records []Record, readAt time.Time) error {
	opened := map[string]*Key{}
	if old := r.state.Load(); old != nil {
		for _, k := range old.keys {
			opened[k.KeyID] = k
		}
	}
	next := &state{readAt: readAt}
	for _, record := range records {
		if k := opened[record.KeyID]; k != nil {
			next.keys = append(next.keys, &Key{Record: record, private: k.private})
			continue
		}
		k, err := record.open(r.secrets)
		if err != nil {
			return err
		}
		next.keys = append(next.keys, k)
	}
	var err error
	if next.views, err = views(next.keys); err != nil {
		return err
	}
	r.install(next)
	r.once.Do(func() { close(r.loaded) })
	return nil
}

// install keeps the newer of two states: a slow read must not undo a rotation.
func (r *Ring) install(next *state) {
	for {
		old := r.state.Load()
		if old != nil && old.readAt.After(next.readAt) {
			return
		}
		if r.state.CompareAndSwap(old, next) {
			return
		}
	}
}

// Loaded is closed once there are keys.
func (r *Ring) Loaded() <-chan struct{} { return r.loaded }

// KeySet is what is published now; false before the first load.
func (r *Ring) KeySet() (KeySet, bool) {
	s := r.state.Load()
	if s == nil {
		return KeySet{}, false
	}
	return keySetAt(s.views, r.now()), true
}

// Keys lists the keys without their private parts, in the order in which they
// sign, and the ID of the one that signs now.
func (r *Ring) Keys() (records []Record, signer string) {
	s := r.state.Load()
	if s == nil {
		return nil, ""
	}
	for _, k := range s.keys {
		record := k.Record
		record.Sealed = nil
		records = append(records, record)
	}
	if k, err := r.current(); err == nil {
		signer = k.KeyID
	}
	return records, signer
}

// Ready returns nil when a key may sign.
func (r *Ring) Ready() error {
	_, err := r.current()
	return err
}

// current is the last key whose time has come and is not over.
func (r *Ring) current() (*Key, error) {
	s := r.state.Load()
	if s == nil {
		return nil, ErrNoKey
	}
	now := r.now()
	if now.Sub(s.readAt) >= r.schedule.EmergencyLead {
		return nil, ErrStale
	}
	for _, key := range slices.Backward(s.keys) {
		if !key.ActivatesAt.After(now) && !key.retired(now) {
			return key, nil
		}
	}
	return nil, ErrNoKey
}

// Sign makes a JWT of the type (header `typ`) from claims that encode to a JSON
// object.
func (r *Ring) Sign(typ string, claims any) (string, error) {
	k, err := r.current()
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{k.Algorithm, k.KeyID, typ})
	if err != nil {
		return "", fmt.Errorf("encode a token's header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode a token's claims: %w", err)
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := method(k.Algorithm).Sign(input, k.private)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
