package authn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// StoredKeys is an issuer's last good key set and its age.
type StoredKeys struct {
	// JWKS is the key set as it was fetched.
	JWKS []byte
	// FetchedAt is when it last came from the issuer.
	FetchedAt time.Time
}

// ErrNoStoredKeys is returned by a KeyStore that holds nothing for an issuer.
var ErrNoStoredKeys = errors.New("no stored keys")

// KeyStore keeps the last good key set of each issuer over a restart. Whoever
// can write to it can sign tokens that are accepted: it must be writable by
// this one service only.
type KeyStore interface {
	// Load returns what was last saved, or ErrNoStoredKeys.
	Load(ctx context.Context, issuer string) (StoredKeys, error)
	// Save replaces what is kept for the issuer.
	Save(ctx context.Context, issuer string, keys StoredKeys) error
}

// DirKeyStore keeps key sets as files in dir, one for each issuer, readable by
// the owner alone. The directory is made when it is first needed.
func DirKeyStore(dir string) KeyStore { return dirKeyStore(dir) }

type dirKeyStore string

type keyFile struct {
	Issuer    string          `json:"issuer"`
	FetchedAt time.Time       `json:"fetched_at"`
	JWKS      json.RawMessage `json:"jwks"`
}

func (d dirKeyStore) path(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return filepath.Join(string(d), hex.EncodeToString(sum[:])+".json")
}

// Load implements KeyStore.
func (d dirKeyStore) Load(_ context.Context, issuer string) (StoredKeys, error) {
	f, err := os.Open(d.path(issuer))
	if errors.Is(err, fs.ErrNotExist) {
		return StoredKeys{}, ErrNoStoredKeys
	}
	if err != nil {
		return StoredKeys{}, fmt.Errorf("open stored keys: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, 2*maxJWKSBytes))
	if err != nil {
		return StoredKeys{}, fmt.Errorf("read stored keys: %w", err)
	}
	var stored keyFile
	if err := json.Unmarshal(data, &stored); err != nil {
		return StoredKeys{}, fmt.Errorf("decode stored keys: %w", err)
	}
	if stored.Issuer != issuer {
		return StoredKeys{}, errors.New("stored keys are of another issuer")
	}
	return StoredKeys{JWKS: stored.JWKS, FetchedAt: stored.FetchedAt}, nil
}

// Save implements KeyStore. The file is replaced whole, so that a crash leaves
// the old one.
func (d dirKeyStore) Save(_ context.Context, issuer string, keys StoredKeys) error {
	data, err := json.Marshal(keyFile{Issuer: issuer, FetchedAt: keys.FetchedAt.UTC(), JWKS: keys.JWKS})
	if err != nil {
		return fmt.Errorf("encode stored keys: %w", err)
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("make key directory: %w", err)
	}
	tmp, err := os.CreateTemp(string(d), ".keys-*")
	if err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // once it is renamed there is nothing to remove
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(fmt.Errorf("write key file: %w", err), tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("close key file: %w", err)
	}
	if err := os.Rename(tmp.Name(), d.path(issuer)); err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	return nil
}
