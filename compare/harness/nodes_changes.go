package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
)

// send one webhook to whoever receives it, as the provider does.
func (s *nodes) send(ctx context.Context, c contender, kind string, data map[string]any) error {
	to := contender{receivers: []string{devstack.IdentityRelay}}
	if c.archetype == report.Shadow {
		to.receivers = nil
		for _, n := range s.of(c) {
			s.w.urls[n.name] = n.url
			to.receivers = append(to.receivers, n.name)
		}
	}
	return s.w.tell(ctx, to, kind, data)
}

// renames measures what each of some renames writes.
func (s *nodes) renames(ctx context.Context, c contender) (written, error) {
	ids := make([]string, nodeChanges)
	for i := range ids {
		s.w.made++
		ids[i] = fmt.Sprintf("renamed_%d", s.w.made)
	}
	if err := s.w.register(ctx, ids...); err != nil {
		return written{}, err
	}
	if err := s.mirror(ctx, c, ids...); err != nil {
		return written{}, err
	}
	return s.writes(ctx, c, nodeChanges, func() error {
		for _, id := range ids {
			if err := s.send(ctx, c, "user.updated", profile(id, "Somebody", time.Now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// erasesAndWrites erases one user and measures how long that takes and what it writes.
func (s *nodes) erasesAndWrites(ctx context.Context, c contender) (b written, took time.Duration, err error) {
	id, err := s.populate(ctx, c, nodeRows)
	if err != nil {
		return b, 0, err
	}
	b, err = s.writes(ctx, c, 1, func() (err error) {
		took, err = s.remove(ctx, c, id)
		return err
	})
	return b, took, err
}

// erase one user with so many rows in each service, and measure how long it takes.
func (s *nodes) erase(ctx context.Context, c contender, rows int) (time.Duration, error) {
	id, err := s.populate(ctx, c, rows)
	if err != nil {
		return 0, err
	}
	return s.remove(ctx, c, id)
}

// populate makes a user with so many rows in each service.
func (s *nodes) populate(ctx context.Context, c contender, rows int) (id string, err error) {
	s.w.made++
	id = fmt.Sprintf("erased_%d", s.w.made)
	if err := s.mirror(ctx, c, id); err != nil {
		return "", err
	}
	return id, s.give(ctx, c, id, rows)
}

// remove a user whom the provider has deleted; no row may be left.
func (s *nodes) remove(ctx context.Context, c contender, id string) (time.Duration, error) {
	begun := time.Now()
	if err := s.send(ctx, c, "user.deleted", map[string]any{"id": id}); err != nil {
		return 0, err
	}
	if c.archetype == report.Federated {
		if err := s.w.erased(ctx); err != nil {
			return 0, err
		}
	}
	took := time.Since(begun)
	return took, s.each(c, func(n *node, table string) error {
		var left int
		if err := n.pool.QueryRow(ctx, `SELECT count(*) FROM `+quoted(table)+` WHERE user_id = $1`, id).Scan(&left); err != nil {
			return err
		}
		if left != 0 {
			return fmt.Errorf("%d rows of an erased user are left in %s of %s", left, table, n.name)
		}
		return nil
	})
}

// writes measures what do writes, of which there are count.
func (s *nodes) writes(ctx context.Context, c contender, count int, do func() error) (b written, err error) {
	before, err := s.w.streamed(ctx)
	if err != nil {
		return b, err
	}
	wal, err := s.w.writtenBy(ctx, do)
	if err != nil {
		return b, err
	}
	b.postgres = float64(wal) / float64(count)
	if c.archetype != report.Federated {
		return b, nil
	}
	after, err := s.w.streamed(ctx)
	each := float64(after-before) / float64(count)
	b.nats = &each
	return b, err
}

// mirror users in each of the shadow archetype's tables of users.
func (s *nodes) mirror(ctx context.Context, c contender, ids ...string) error {
	if c.archetype == report.Federated {
		return nil
	}
	for _, n := range s.of(c) {
		_, err := n.pool.Exec(ctx, `INSERT INTO users (id, name, email, avatar_url, banned, updated_at)
			SELECT id, 'Name of ' || id, id || '@example.com', '', false, 'epoch' FROM unnest($1::text[]) id`, ids)
		if err != nil {
			return fmt.Errorf("mirror users: %w", err)
		}
	}
	return nil
}

// give a user so many rows in each service.
func (s *nodes) give(ctx context.Context, c contender, userID string, rows int) error {
	return s.each(c, func(n *node, table string) error {
		_, err := n.pool.Exec(ctx, `INSERT INTO `+quoted(table)+` (user_id, body) SELECT $1, repeat('x', 100) FROM generate_series(1, $2::int)`, userID, rows)
		if err != nil {
			return fmt.Errorf("give a user rows: %w", err)
		}
		return nil
	})
}

// each service's table.
func (s *nodes) each(c contender, do func(n *node, table string) error) error {
	for _, n := range s.of(c) {
		for _, table := range n.tables {
			if err := do(n, table); err != nil {
				return err
			}
		}
	}
	return nil
}
