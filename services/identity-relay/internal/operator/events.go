package operator

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
	"github.com/shadowless/shadowless/services/identity-relay/internal/replay"
)

type listEvents struct{ filter eventlog.Filter }

func (q *listEvents) Bind(r *http.Request) (err error) {
	query := r.URL.Query()
	if after := query.Get("after"); after != "" {
		if q.filter.After, err = strconv.ParseInt(after, 10, 64); err != nil || q.filter.After < 0 {
			return problem.ErrInvalidRequest.Becausef("after is not a version")
		}
	}
	if since := query.Get("since"); since != "" {
		if q.filter.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return problem.ErrInvalidRequest.Becausef("since is not a time")
		}
	}
	q.filter.Type = query.Get("type")
	q.filter.Limit, err = limitOf(r)
	return err
}

func (s *Service) events(ctx context.Context, q listEvents) (api.Events, error) {
	list, err := eventlog.List(ctx, s.Pool, q.filter)
	if err != nil {
		return api.Events{}, err
	}
	page := api.Events{Events: make([]api.Event, 0, len(list))}
	for _, e := range list {
		page.Events = append(page.Events, api.Event{
			Version: e.Version, ID: e.ID.String(), Source: e.Source, Type: e.Type, UserID: e.UserID, SessionID: e.SessionID,
			ErasureID: e.ErasureID, Data: e.Data, OccurredAt: e.OccurredAt.UTC(), RecordedAt: e.RecordedAt.UTC(), Published: e.Published,
		})
	}
	if len(list) == q.filter.Limit {
		page.Next = list[len(list)-1].Version
	}
	return page, nil
}

type replayEvents struct {
	api.ReplayRequest
	chosen replay.Range
}

func (q *replayEvents) Validate() (err error) {
	q.chosen = replay.Range{After: q.After, Type: q.Type, Limit: q.Limit}
	if q.Since != nil {
		q.chosen.Since = *q.Since
	}
	if q.ID != "" {
		if q.chosen.ID, err = uuid.Parse(q.ID); err != nil {
			return problem.ErrInvalidRequest.Becausef("id is not an event ID")
		}
	}
	// Everything there is must be asked for by a time, not by leaving all out.
	if q.chosen.Since.IsZero() && q.chosen.After <= 0 && q.chosen.ID == uuid.Nil {
		return problem.ErrInvalidRequest.Becausef("since, after or id is required")
	}
	switch {
	case q.chosen.Limit == 0:
		q.chosen.Limit = maxLimit
	case q.chosen.Limit < 0 || q.chosen.Limit > maxLimit:
		return problem.ErrInvalidRequest.Becausef("limit is not 1 to %d", maxLimit)
	}
	return nil
}

func (s *Service) replay(ctx context.Context, q replayEvents) (api.Replay, error) {
	var result replay.Result
	err := s.Recorder.Transact(ctx, func(tx pgx.Tx) (err error) {
		result, err = replay.Batch(ctx, tx, q.chosen)
		return err
	})
	if err != nil {
		return api.Replay{}, err
	}
	answer := api.Replay{Replayed: result.Replayed, Erased: result.Erased}
	if result.More {
		answer.Next = result.Last
	}
	return answer, nil
}
