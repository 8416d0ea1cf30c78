package participant

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Holding says where the data of one user ID stands.
type Holding struct {
	UserID string
	// Erased is set for a user who has a tombstone here: what is left of them
	// should be retained rows alone.
	Erased bool
	Places []HeldPlace
}

// HeldPlace is one column, or path in one, with the number of its rows.
type HeldPlace struct {
	Table       string      `json:"table"`
	Column      string      `json:"column"`
	Disposition Disposition `json:"disposition"`
	Rows        int64       `json:"rows"`
}

// Holdings lists, in byte order, up to limit user IDs behind after with the
// places that hold them. Unlike UserIDs it names the erased ones too; pseudonyms
// are left out. next is where the next page begins, empty after the last.
func (p *Participant) Holdings(ctx context.Context, after string, limit int) (list []Holding, next string, err error) {
	return p.config.Manifest.Holdings(ctx, p.config.Pool, p.tombstones, after, limit)
}

// Holdings is Participant.Holdings for a service that erases by itself.
func (m *Manifest) Holdings(ctx context.Context, pool *pgxpool.Pool, tombstones *Tombstones, after string, limit int) (list []Holding, next string, err error) {
	if limit < 1 || limit > MaxUserIDs {
		limit = MaxUserIDs
	}
	places, err := m.places(ctx, pool)
	if err != nil {
		return nil, "", err
	}
	ids, next, err := page(ctx, pool, places, after, limit)
	if err != nil || len(ids) == 0 {
		return nil, next, err
	}
	erased, err := tombstones.erased(ctx, pool, ids)
	if err != nil {
		return nil, "", err
	}
	list = make([]Holding, 0, len(ids))
	index := make(map[string]int, len(ids))
	for i, id := range ids {
		if !strings.HasPrefix(id, pseudonymPrefix) {
			index[id] = len(list)
			list = append(list, Holding{UserID: id, Erased: erased[i]})
		}
	}
	for _, p := range places {
		if err := p.fill(ctx, pool, ids, list, index); err != nil {
			return nil, "", err
		}
	}
	return list, next, nil
}

func (p place) fill(ctx context.Context, db querier, ids []string, list []Holding, index map[string]int) error {
	rows, err := db.Query(ctx, `SELECT id, count(*) FROM (`+p.ids()+`) AS held WHERE id = ANY($1) GROUP BY id`, ids)
	if err != nil {
		return fmt.Errorf("count %s.%s: %w", p.table.Name, p.label, err)
	}
	var id string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		if i, listed := index[id]; listed {
			list[i].Places = append(list[i].Places, HeldPlace{
				Table: p.table.Name, Column: p.label, Disposition: p.column.Disposition, Rows: n,
			})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count %s.%s: %w", p.table.Name, p.label, err)
	}
	return nil
}

// page reads up to limit IDs behind after, pseudonyms included.
func page(ctx context.Context, db querier, places []place, after string, limit int) (ids []string, next string, err error) {
	rows, err := db.Query(ctx, pageOf(places), after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("list user IDs: %w", err)
	}
	ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, "", fmt.Errorf("list user IDs: %w", err)
	}
	if len(ids) == limit {
		next = ids[len(ids)-1]
	}
	return ids, next, nil
}
