// Package blocks remembers users who get no token: deleted and banned ones, until
// that is lifted. A row holds a keyed hash of the user ID and so outlives the
// user's erasure, as an id_token that was issued before it does.
package blocks

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Kind says why a user is blocked. The kinds are lifted apart: an unban does
// not bring a deleted user back.
type Kind string

// The kinds.
const (
	Deleted Kind = "deleted"
	Banned  Kind = "banned"
)

// Block is a change of one user's state, as of an event's version.
type Block struct {
	UserHash  []byte
	HashKeyID string
	Kind      Kind
	Version   uint64
	Lifted    bool
}

// Store keeps blocks.
type Store interface {
	// Put applies a change unless a later version was applied before.
	Put(ctx context.Context, tx pgx.Tx, b Block) error
	// Any reports whether a block that is not lifted exists under any hash.
	Any(ctx context.Context, hashes [][]byte) (bool, error)
}

// List answers who is blocked.
type List struct {
	store  Store
	hashes *keyring.Ring
}

// NewList makes one.
func NewList(store Store, hashes *keyring.Ring) *List { return &List{store: store, hashes: hashes} }

// Blocked reports whether the user may get no token.
func (l *List) Blocked(ctx context.Context, userID string) (bool, error) {
	var hashes [][]byte
	for _, h := range l.hashes.Hashes(keyring.PurposeUser, userID) {
		hashes = append(hashes, h.Hash)
	}
	return l.store.Any(ctx, hashes)
}

// Apply takes what an identity event says about blocks; others change nothing.
func (l *List) Apply(ctx context.Context, tx pgx.Tx, e identity.Event) error {
	b := Block{Version: e.Version}
	switch e.Type {
	case identity.TypeUserDeleted, identity.TypeUserRekeyed:
		b.Kind = Deleted
	case identity.TypeErasureReadmitted:
		b.Kind, b.Lifted = Deleted, true
	case identity.TypeUserBanned:
		b.Kind = Banned
	case identity.TypeUserUnbanned:
		b.Kind, b.Lifted = Banned, true
	default:
		return nil
	}
	// Under every key: a row that an older hash key made must hear of it too.
	for _, h := range l.hashes.Hashes(keyring.PurposeUser, e.UserID) {
		b.UserHash, b.HashKeyID = h.Hash, h.KeyID
		if err := l.store.Put(ctx, tx, b); err != nil {
			return err
		}
	}
	return nil
}
