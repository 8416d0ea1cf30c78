package operator

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
)

func (s *Service) listErasures(ctx context.Context, q listErasures) (api.Erasures, error) {
	if q.userID != "" {
		q.filter.Users = s.Erasures.Tombstones.Hashes(q.userID)
	}
	list, err := erasures.List(ctx, s.Pool, q.filter)
	if err != nil {
		return api.Erasures{}, err
	}
	page := api.Erasures{Erasures: make([]api.Erasure, 0, len(list))}
	for _, e := range list {
		page.Erasures = append(page.Erasures, wireErasure(e))
	}
	if len(list) == q.filter.Limit {
		page.Next = list[len(list)-1].ID.String()
	}
	return page, nil
}

func (s *Service) erasure(ctx context.Context, q byID) (api.ErasureDetail, error) {
	d, err := erasures.GetDetail(ctx, s.Pool, q.id)
	if errors.Is(err, erasures.ErrNotFound) {
		return api.ErasureDetail{}, errNoErasure
	}
	if err != nil {
		return api.ErasureDetail{}, err
	}
	detail := api.ErasureDetail{
		Erasure: wireErasure(d.Erasure), Answers: wireAnswers(d.Answers), RetentionEnded: wireAnswers(d.Ended),
		Decisions: make([]api.Decision, 0, len(d.Decisions)), Certificate: d.Certificate,
	}
	for _, decided := range d.Decisions {
		detail.Decisions = append(detail.Decisions, api.Decision{
			Decision: decided.Decision, By: decided.By, Reason: decided.Reason, At: decided.At.UTC(),
		})
	}
	return detail, nil
}

func wireAnswers(list []erasures.Answer) []api.Answer {
	wire := make([]api.Answer, 0, len(list))
	for _, a := range list {
		wire = append(wire, api.Answer{Participant: a.Participant, Round: a.Round, AnsweredAt: a.AnsweredAt, Receipt: a.Receipt})
	}
	return wire
}

func wireErasure(e erasures.Erasure) api.Erasure {
	wire := api.Erasure{
		ID: e.ID.String(), State: string(e.State), Late: e.Late, Source: e.Source,
		UserHash: base64.RawURLEncoding.EncodeToString(e.UserHash), HashKeyID: e.HashKeyID,
		OpenedAt: e.OpenedAt.UTC(), GraceUntil: e.GraceUntil.UTC(), RequestedAt: e.RequestedAt, DueAt: e.DueAt,
		CompletedAt: e.CompletedAt, WaitingFor: e.WaitingFor, Round: e.Round, Edition: e.Edition, OverLimit: e.OverLimit,
		ReopenedAt: e.ReopenedAt, WithdrawnAt: e.WithdrawnAt, ReadmittedAt: e.ReadmittedAt,
	}
	if e.HoldReason != nil {
		wire.LegalHold = *e.HoldReason
	}
	return wire
}
