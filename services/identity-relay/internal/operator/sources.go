package operator

import (
	"context"
	"maps"
	"slices"

	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source"
)

func (s *Service) sources(ctx context.Context, _ struct{}) (api.Sources, error) {
	taken, err := source.Taken(ctx, s.Pool)
	if err != nil {
		return api.Sources{}, err
	}
	refused, err := s.Refusals.List(ctx)
	if err != nil {
		return api.Sources{}, err
	}
	byName := map[string]*api.Source{}
	of := func(name string) *api.Source {
		if byName[name] == nil {
			byName[name] = &api.Source{Name: name, Deliveries: map[string]int64{}, Refusals: []api.Refusal{}}
		}
		return byName[name]
	}
	for _, d := range taken {
		of(d.Source).Deliveries[d.Outcome] = d.Count
	}
	for _, r := range refused {
		found := of(r.Source)
		found.Refusals = append(found.Refusals, api.Refusal{Reason: r.Reason, Count: r.Count, LastAt: r.LastAt.UTC()})
	}
	answer := api.Sources{Sources: make([]api.Source, 0, len(byName))}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		answer.Sources = append(answer.Sources, *byName[name])
	}
	return answer, nil
}
