package signing

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// ErrNoKey: no key may sign yet, because none could be loaded.
var ErrNoKey = errors.New("no signing key is loaded")

// Plan is what a Store carries out: see Rotate.
type Plan func(keys []Record) (created []Record, removed []string, err error)

// Store keeps the keys.
type Store interface {
	// SigningKeys lists all keys in the order in which they sign.
	SigningKeys(ctx context.Context) ([]Record, error)
	// Rotate runs plan over all keys while no other replica can, applies what it
	// decides, and returns the keys as they then are.
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
	keys []*Key // in the order in which they sign
	set  []byte // the JWKS document
	etag string
}

// NewRing makes an empty ring. Rotate fills it.
func NewRing(store Store, secrets *keyring.Ring, schedule Schedule, now func() time.Time, log *slog.Logger) *Ring {
	return &Ring{store: store, secrets: secrets, schedule: schedule, now: now, log: log, loaded: make(chan struct{})}
}

// Rotate makes the key that is due, removes those that are past their
// retention, and loads the result. Any replica may call it at any time.
func (r *Ring) Rotate(ctx context.Context) error {
	records, err := r.store.Rotate(ctx, func(keys []Record) ([]Record, []string, error) {
		now := r.now().UTC().Truncate(time.Microsecond) // as PostgreSQL keeps it
		activates, create, removed := r.schedule.plan(keys, now)
		if !create {
			return nil, removed, nil
		}
		made, err := newRecord(r.schedule.Algorithm, r.secrets, now, activates)
		if err != nil {
			return nil, nil, err
		}
		r.log.InfoContext(ctx, "signing key made", "kid", made.KeyID, "algorithm", made.Algorithm, "activates_at", made.ActivatesAt)
		return []Record{made}, removed, nil
	})
	if err != nil {
		return fmt.Errorf("rotate the signing keys: %w", err)
	}
	return r.load(records)
}

// retryEvery is how soon a rotation that failed is tried again.
const retryEvery = time.Second

// Run rotates now and then every interval, until ctx ends.
func (r *Ring) Run(ctx context.Context, interval time.Duration) error {
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
func (r *Ring) load(records []Record) error {
	opened := map[string]*Key{}
	if old := r.state.Load(); old != nil {
		for _, k := range old.keys {
			opened[k.KeyID] = k
		}
	}
	next := &state{}
	set := struct {
		Keys []JWK `json:"keys"`
	}{Keys: []JWK{}}
	for _, record := range records {
		k := opened[record.KeyID]
		if k == nil {
			var err error
			if k, err = record.open(r.secrets); err != nil {
				return err
			}
		}
		next.keys = append(next.keys, k)
		set.Keys = append(set.Keys, record.Public)
	}
	raw, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode the key set: %w", err)
	}
	sum := sha256.Sum256(raw)
	next.set, next.etag = raw, `"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"`
	r.state.Store(next)
	r.once.Do(func() { close(r.loaded) })
	return nil
}

// Loaded is closed once there are keys.
func (r *Ring) Loaded() <-chan struct{} { return r.loaded }

// KeySet is the JWKS document and its entity tag; false before the first load.
func (r *Ring) KeySet() (document []byte, etag string, ok bool) {
	s := r.state.Load()
	if s == nil {
		return nil, "", false
	}
	return s.set, s.etag, true
}

// Ready returns nil when a key may sign.
func (r *Ring) Ready() error {
	_, err := r.current()
	return err
}

// current is the last key whose time has come.
func (r *Ring) current() (*Key, error) {
	s := r.state.Load()
	if s == nil {
		return nil, ErrNoKey
	}
	now := r.now()
	for i := len(s.keys) - 1; i >= 0; i-- {
		if !s.keys[i].ActivatesAt.After(now) {
			return s.keys[i], nil
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
