package mailbox

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Guard keeps a handler from applying what is older than what it has applied,
// where the row that it changes holds no version itself.
type Guard struct {
	// Consumer is the durable's name.
	Consumer string
	// Scope names what is versioned, if the consumer keeps more than one thing of a user.
	Scope string
}

// Newer reports whether version is greater than every one that was seen for key,
// and remembers it in tx. Two transactions that ask for one key wait for each
// other. Key is usually a user ID; it is kept as a hash, for as long as the
// consumer's inbox rows: no message can be older.
func (g Guard) Newer(ctx context.Context, tx pgx.Tx, key string, version uint64) (bool, error) {
	tag, err := tx.Exec(ctx, `INSERT INTO mailbox_versions AS v (consumer, scope, key_hash, version) VALUES ($1, $2, $3, $4)
		ON CONFLICT (consumer, scope, key_hash) DO UPDATE SET version = EXCLUDED.version, changed_at = now()
		WHERE v.version < EXCLUDED.version`, g.Consumer, g.Scope, keyHash(key), int64(version)) //nolint:gosec // identity.Decode bounds it
	if err != nil {
		return false, fmt.Errorf("compare versions: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// ForgetVersions removes what every [Guard] remembers of key. An
// erasure calls it: from then on a tombstone refuses what comes late.
func ForgetVersions(ctx context.Context, tx pgx.Tx, key string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM mailbox_versions WHERE key_hash = $1`, keyHash(key)); err != nil {
		return fmt.Errorf("forget versions: %w", err)
	}
	return nil
}

func keyHash(key string) []byte {
	sum := sha256.Sum256([]byte("shadowless mailbox\x00" + key))
	return sum[:]
}
