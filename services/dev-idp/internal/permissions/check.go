package permissions

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/shadowless/shadowless/services/dev-idp/internal/luabox"
)

// Question is one check-permission request of one subject.
type Question struct {
	SubjectType string // SubjectUser or SubjectAPIKey
	SubjectID   string
	EntityType  string
	EntityID    string
	Permission  string
	Resource    Resource
	// FlatResource also offers the attributes as context.resource.<name>, as the
	// documentation promises.
	FlatResource bool
	Now          time.Time
}

// Resource is what the caller says about the thing that is asked about.
type Resource struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Attributes map[string]any `json:"attributes"`
}

// Allowed answers the question for a subject that holds the tuples. A policy
// that fails in any way denies; only a run that was cut short by ctx is an error.
func (m *Model) Allowed(ctx context.Context, q Question, tuples []Tuple) (bool, error) {
	held := m.held(tuples, q.EntityType, q.EntityID)
	if !slices.Contains(held, q.Permission) {
		return false, nil
	}
	policy := m.types[q.EntityType].policies[q.Permission]
	if policy == nil {
		return true, nil
	}
	result, err := policy.Run(ctx, q.input(held))
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, luabox.ErrScript) {
			return false, ctx.Err()
		}
		return false, nil
	}
	return result == true, nil
}

func (q Question) input(held []string) map[string]any {
	attributes := q.Resource.Attributes
	if attributes == nil {
		attributes = map[string]any{}
	}
	resource := map[string]any{}
	if q.FlatResource {
		maps.Copy(resource, attributes)
	}
	resource["id"], resource["type"], resource["attributes"] = q.EntityID, q.EntityType, attributes
	if q.Resource.ID != "" {
		resource["id"] = q.Resource.ID
	}
	if q.Resource.Type != "" {
		resource["type"] = q.Resource.Type
	}
	return map[string]any{
		"resource": resource,
		// permissions is this provider's own addition: what the caller holds on the entity.
		"user":      map[string]any{"id": q.SubjectID, "type": q.SubjectType, "permissions": held},
		"action":    q.Permission,
		"timestamp": q.Now.UnixMilli(),
	}
}
