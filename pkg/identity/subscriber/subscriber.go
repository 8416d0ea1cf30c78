// Package subscriber turns identity events into typed calls: a service says which
// types it wants, with what data, and guarded by which version, and gets the
// handler that a [mailbox.Consumer] takes. The consumer's inbox makes it
// idempotent and its batches make it fast.
package subscriber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// Func applies one event in tx; see [mailbox.HandlerFunc] for what its error does.
type Func func(ctx context.Context, tx pgx.Tx, e identity.Event) error

// Route is what is done with the events of one type.
type Route struct {
	eventType string
	apply     Func
}

// On has f called for each event of one type.
func On(eventType string, f Func) Route { return Route{eventType: eventType, apply: f} }

// OnData has f called with the event's data decoded. Members that D lacks are
// ignored; data that D cannot hold is poison.
func OnData[D any](eventType string, f func(ctx context.Context, tx pgx.Tx, e identity.Event, data D) error) Route {
	return On(eventType, func(ctx context.Context, tx pgx.Tx, e identity.Event) error {
		var data D
		if json.Unmarshal(e.Data, &data) != nil {
			return mailbox.Poison(errors.New("event's data is not what its type has")) // the cause would quote it
		}
		return f(ctx, tx, e, data)
	})
}

// Newest calls the routes only for events that are newer than every event of a
// user that went through guard: of a ban and the end of that ban the later one
// wins, in whatever order they come. Routes of one Newest share the guard.
func Newest(guard mailbox.Guard, routes ...Route) []Route {
	guarded := make([]Route, len(routes))
	for i, r := range routes {
		guarded[i] = On(r.eventType, func(ctx context.Context, tx pgx.Tx, e identity.Event) error {
			newer, err := guard.Newer(ctx, tx, e.UserID, e.Version)
			if err != nil || !newer {
				return err
			}
			return r.apply(ctx, tx, e)
		})
	}
	return guarded
}

// Handler returns the handler of the routes. A type without a route is ignored:
// the stream may carry more than a service wants, and a later version more than
// it knows. A message that is no identity event is poison. It returns an error
// for a type that is routed twice.
func Handler(routes ...Route) (mailbox.HandlerFunc, error) {
	byType := make(map[string]Func, len(routes))
	for _, r := range routes {
		if r.eventType == "" || r.apply == nil || byType[r.eventType] != nil {
			return nil, fmt.Errorf("subscribe to %q: each type needs one function", r.eventType)
		}
		byType[r.eventType] = r.apply
	}
	return func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
		e, err := identity.Decode(m.Payload)
		if err != nil {
			return mailbox.Poison(err)
		}
		apply, wanted := byType[e.Type]
		if !wanted {
			return nil
		}
		return apply(ctx, tx, e)
	}, nil
}

// ByPartition is the OrderBy of a consumer with several workers: all events of
// one user share a partition, whatever their type.
func ByPartition(m mailbox.Message) string {
	return m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
}
