package signing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Change is what a rotation does to the stored keys.
type Change struct {
	Created []Record
	// Changed records have another sealing or end.
	Changed []Record
	Removed []string
	// By is the operator who asked for it; empty: the schedule did.
	By     string
	Action string
}

// IsZero reports whether there is nothing to do.
func (c Change) IsZero() bool { return len(c.Created)+len(c.Changed)+len(c.Removed) == 0 }

// Plan is what a Store carries out: see Store.Rotate.
type Plan func(keys []Record) (Change, error)

// scheduled is what is due: a new key, an old one's end, a sealing under a key
// that is no longer the current one.
func (r *Ring) scheduled(ctx context.Context, keys []Record) (c Change, err error) {
	now := r.instant()
	activates, create, removed := r.schedule.plan(keys, now)
	c.Removed = removed
	if create {
		if err := r.create(ctx, &c, now, activates); err != nil {
			return c, err
		}
	}
	for _, k := range keys {
		if k.EncryptionKeyID == r.secrets.CurrentID() {
			continue
		}
		resealed, err := k.resealed(r.secrets)
		switch {
		case errors.Is(err, keyring.ErrUnknownKey):
			// Its key is not in the file: load says so, more loudly.
		case err != nil:
			return c, err
		default:
			c.Changed = append(c.Changed, resealed)
		}
	}
	return c, nil
}

func (r *Ring) create(ctx context.Context, c *Change, now, activates time.Time) error {
	made, err := newRecord(r.schedule.Algorithm, r.secrets, now, activates)
	if err != nil {
		return err
	}
	r.log.InfoContext(ctx, "signing key made", "kid", made.KeyID, "algorithm", made.Algorithm, "activates_at", made.ActivatesAt)
	c.Created = append(c.Created, made)
	return nil
}

// instant is now as PostgreSQL keeps it.
func (r *Ring) instant() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

// Announce makes the next key now instead of when it is due. It still is
// published before it signs. A key that already waits to sign is enough.
func (r *Ring) Announce(ctx context.Context, by string) error {
	return r.change(ctx, func(keys []Record) (Change, error) {
		c, now := Change{By: by, Action: "signing.rotate"}, r.instant()
		if slices.ContainsFunc(keys, func(k Record) bool { return k.RetiresAt.IsZero() && k.ActivatesAt.After(now) }) {
			return c, nil
		}
		return c, r.create(ctx, &c, now, now.Add(r.schedule.PublishAhead))
	})
}

// Replace ends every key that there is and lets a new one sign: for keys that
// others may know. What the old keys signed is worthless as soon as verifiers
// have the new key set.
func (r *Ring) Replace(ctx context.Context, by string) error {
	return r.change(ctx, func(keys []Record) (Change, error) {
		c, now := Change{By: by, Action: "signing.replace"}, r.instant()
		from := now.Add(r.schedule.EmergencyLead)
		for _, k := range keys {
			if k.RetiresAt.IsZero() || k.RetiresAt.After(from) {
				k.RetiresAt = from
				c.Changed = append(c.Changed, k)
			}
		}
		return c, r.create(ctx, &c, now, from)
	})
}

func (r *Ring) change(ctx context.Context, plan Plan) error {
	began := r.now()
	records, err := r.store.Rotate(ctx, plan)
	if err != nil {
		return fmt.Errorf("rotate the signing keys: %w", err)
	}
	if err := r.load(records, began); err != nil || !r.state.Load().readAt.After(began) {
		return err
	}
	// A read that began later and ended earlier is kept, and may have missed this.
	began = r.now()
	if records, err = r.store.SigningKeys(ctx); err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	return r.load(records, began)
}
