package participant

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrErased is returned by [Tombstones.Refuse] for a user who was erased and
// not readmitted.
var ErrErased = errors.New("user was erased")

// ErrIsolation is returned by [Tombstones.Refuse] in a transaction that is not READ COMMITTED.
var ErrIsolation = errors.New("transaction is not read committed")

const minTombstoneKeyBytes = 32

// Tombstones answers whether a user was erased, without knowing any user.
type Tombstones struct {
	// keys in order: the first makes new tombstones, the others still find old ones.
	keys []tombstoneKey
}

type tombstoneKey struct {
	id     string
	secret []byte
}

// NewTombstoneKey returns a line for a tombstone key file: a new random key
// under the given ID.
func NewTombstoneKey(id string) string {
	secret := make([]byte, minTombstoneKeyBytes)
	_, _ = rand.Read(secret) // never fails, crypto/rand ends the process instead
	return id + ":" + base64.StdEncoding.EncodeToString(secret) + "\n"
}

// LoadTombstones reads the keys from a file with one "<key ID>:<base64 of 32 or
// more bytes>" a line; "#" starts a comment line. The first key makes new
// tombstones. To rotate, put a new key first and keep the old ones: a hash
// cannot be made anew without the user ID.
func LoadTombstones(path string) (*Tombstones, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tombstone keys: %w", err)
	}
	t := &Tombstones{}
	seen := map[string]bool{}
	scanner := bufio.NewScanner(bytes.NewReader(raw))
	for line := 1; scanner.Scan(); line++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, encoded, ok := strings.Cut(text, ":")
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || !identifierPattern.MatchString(strings.ReplaceAll(id, "-", "_")) || err != nil || len(secret) < minTombstoneKeyBytes || seen[id] {
			return nil, fmt.Errorf("read tombstone keys: line %d is not a new <key ID>:<base64 of at least %d bytes>", line, minTombstoneKeyBytes)
		}
		seen[id] = true
		t.keys = append(t.keys, tombstoneKey{id: id, secret: secret})
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read tombstone keys: %w", err)
	}
	if len(t.keys) == 0 {
		return nil, errors.New("read tombstone keys: the file holds none")
	}
	return t, nil
}

// KeyID returns the ID of the key that new tombstones are made with.
func (t *Tombstones) KeyID() string { return t.keys[0].id }

// Hash returns the keyed hash of a user ID under the current key.
func (t *Tombstones) Hash(userID string) []byte { return t.keys[0].hash(userID) }

// Hashes returns the keyed hash of a user ID under every key, the current one
// first: whatever was stored under one of them is found by it.
func (t *Tombstones) Hashes(userID string) [][]byte { return t.hashes(userID) }

func (k tombstoneKey) hash(userID string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(userID))
	return mac.Sum(nil)
}

func (t *Tombstones) hashes(userID string) [][]byte {
	all := make([][]byte, 0, len(t.keys))
	for _, k := range t.keys {
		all = append(all, k.hash(userID))
	}
	return all
}

// Refuse returns [ErrErased] if the user was erased. Call it first in every
// transaction that writes under userID; it costs one round trip.
//
// It cannot race with an erasure. A writer takes a shared advisory lock on the
// user and holds it until its transaction ends, an erasure takes the exclusive
// one before it counts anything. So an erasure waits for writers in flight and
// then sees their rows, and a writer that comes later waits for the erasure and
// then sees its tombstone. The second half holds only if the look-up has a
// newer snapshot than the lock: that is why lock and look-up are two statements
// and why the transaction must be READ COMMITTED, else [ErrIsolation] returns.
// Called first, before any row lock, it cannot deadlock with an erasure either.
func (t *Tombstones) Refuse(ctx context.Context, tx pgx.Tx, userID string) error {
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_advisory_xact_lock_shared($1)`, lockID(userID))
	batch.Queue(`SELECT current_setting('transaction_isolation') = 'read committed',
		EXISTS (SELECT FROM participant_tombstones WHERE hash = ANY($1) AND NOT lifted)`, t.hashes(userID))
	results := tx.SendBatch(ctx, batch)
	var readCommitted, erased bool
	_, err := results.Exec()
	if err == nil {
		err = results.QueryRow().Scan(&readCommitted, &erased)
	}
	if err := errors.Join(err, results.Close()); err != nil {
		return fmt.Errorf("look for a tombstone: %w", err)
	}
	if !readCommitted {
		return ErrIsolation
	}
	if erased {
		return ErrErased
	}
	return nil
}

// lockID is the same under every tombstone key, so that replicas which disagree
// on the current key during a rotation still exclude each other. Two users who
// share one merely wait for each other.
func lockID(userID string) int64 {
	sum := sha256.Sum256([]byte("shadowless participant\x00" + userID))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits will do
}
