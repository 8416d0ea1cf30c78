package footprint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Finding is a place that still holds the ID.
type Finding struct {
	Store string // database or stream
	Place string // table.column or subject
	Count int    // rows or messages
}

func (f Finding) String() string { return fmt.Sprintf("%s %s (%d)", f.Store, f.Place, f.Count) }

// InDatabase looks through every table of a database that the role of url can
// read, each column and each row. It reads everything: meant for proofs and
// tests, not for production sizes.
func InDatabase(ctx context.Context, url, id string) ([]Finding, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // read only
	var database string
	if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		return nil, fmt.Errorf("name the database: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%' ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pgx.Identifier, error) {
		var schema, table string
		err := row.Scan(&schema, &table)
		return pgx.Identifier{schema, table}, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	var found []Finding
	for _, table := range tables {
		in, err := inTable(ctx, conn, table, id)
		if err != nil {
			return nil, fmt.Errorf("search %s: %w", table.Sanitize(), err)
		}
		for _, f := range in {
			f.Store = database
			found = append(found, f)
		}
	}
	return found, nil
}

func inTable(ctx context.Context, conn *pgx.Conn, table pgx.Identifier, id string) ([]Finding, error) {
	rows, err := conn.Query(ctx, `SELECT field.key, count(*) FROM `+table.Sanitize()+` AS r, jsonb_each_text(to_jsonb(r)) AS field
		WHERE EXISTS (SELECT FROM unnest($1::text[]) AS spelling WHERE strpos(field.value, spelling) > 0) GROUP BY 1 ORDER BY 1`, Spellings(id))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Finding, error) {
		var column string
		f := Finding{}
		err := row.Scan(&column, &f.Count)
		f.Place = table[1] + "." + column
		return f, err
	})
}

// quiet is how long a stream may say nothing while it is read to its end.
const quiet = 2 * time.Second

// InStreams looks through every message of every stream, buckets included.
func InStreams(ctx context.Context, js jetstream.JetStream, id string) ([]Finding, error) {
	var found []Finding
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		in, err := inStream(ctx, js, info, id)
		if err != nil {
			return nil, fmt.Errorf("search stream %s: %w", info.Config.Name, err)
		}
		found = append(found, in...)
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list the streams: %w", err)
	}
	return found, nil
}

func inStream(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, id string) ([]Finding, error) {
	if info.State.Msgs == 0 {
		return nil, nil
	}
	consumer, err := js.OrderedConsumer(ctx, info.Config.Name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	// Not consumer.Next, which makes a new consumer on the server for each message.
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	spellings := Spellings(id)
	counts := map[string]int{}
	for {
		message, err := messages.Next(jetstream.NextMaxWait(quiet))
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, err
		}
		if holds(message, spellings) {
			counts[message.Subject()]++
		}
		meta, err := message.Metadata()
		if err != nil {
			return nil, err
		}
		if meta.NumPending == 0 {
			break
		}
	}
	var found []Finding
	for subject, n := range counts {
		found = append(found, Finding{Store: info.Config.Name, Place: subject, Count: n})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Place < found[j].Place })
	return found, nil
}

func holds(message jetstream.Msg, spellings []string) bool {
	for _, s := range spellings {
		needle := []byte(s)
		if bytes.Contains(message.Data(), needle) || bytes.Contains([]byte(message.Subject()), needle) {
			return true
		}
		for name, values := range message.Headers() {
			if bytes.Contains([]byte(name), needle) {
				return true
			}
			for _, v := range values {
				if bytes.Contains([]byte(v), needle) {
					return true
				}
			}
		}
	}
	return false
}
