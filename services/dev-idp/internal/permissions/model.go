// Package permissions turns grants into permissions, answers check-permission
// and builds the claims that a token carries.
package permissions

import (
	"errors"
	"fmt"
	"slices"

	"github.com/shadowless/shadowless/services/dev-idp/internal/luabox"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

// Model knows what each relation permits and which permissions have a policy.
type Model struct {
	types map[string]entityType
	build *luabox.Script
}

type entityType struct {
	relations map[string][]string
	policies  map[string]*luabox.Script
}

// NewModel compiles the policies and the token_build hook; every fault is reported.
func NewModel(types map[string]settings.EntityType, tokenBuild string) (*Model, error) {
	var faults []error
	if tokenBuild == "" {
		tokenBuild = defaultTokenBuild
	}
	build, err := luabox.Compile("token_build", tokenBuild)
	if err != nil {
		faults = append(faults, err)
	}
	m := &Model{types: map[string]entityType{}, build: build}
	for name, declared := range types {
		compiled := entityType{relations: declared.Relations, policies: map[string]*luabox.Script{}}
		for permission, source := range declared.Policies {
			script, err := luabox.Compile(name+" "+permission, source)
			if err != nil {
				faults = append(faults, fmt.Errorf("policy of %s: %w", name, err))
			}
			compiled.policies[permission] = script
		}
		m.types[name] = compiled
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return m, nil
}

// Given is what one tuple permits: its relation's permissions and, as at the
// original, the relation's own name. The second list is those with a policy.
func (m *Model) Given(t Tuple) (permissions, conditional []string) {
	kind := m.types[t.EntityType]
	permissions = slices.Clone(kind.relations[t.Relation])
	for _, permission := range permissions {
		if kind.policies[permission] != nil {
			conditional = append(conditional, permission)
		}
	}
	if !slices.Contains(permissions, t.Relation) {
		permissions = append(permissions, t.Relation)
	}
	return permissions, conditional
}

// Key is the claim's key of a tuple: the type, or the type and the entity.
func Key(t Tuple) string {
	if t.EntityID == AnyEntity {
		return t.EntityType
	}
	return t.EntityType + ":" + t.EntityID
}

// Summary merges tuples into the two claims, keyed by Key.
func (m *Model) Summary(tuples []Tuple) (permissions, conditional map[string][]string) {
	permissions, conditional = map[string][]string{}, map[string][]string{}
	for _, t := range tuples {
		given, asked := m.Given(t)
		merge(permissions, Key(t), given)
		merge(conditional, Key(t), asked)
	}
	return permissions, conditional
}

func merge(into map[string][]string, key string, names []string) {
	for _, name := range names {
		if !slices.Contains(into[key], name) {
			into[key] = append(into[key], name)
		}
	}
}

// held lists what tuples permit on one entity.
func (m *Model) held(tuples []Tuple, entityType, entityID string) []string {
	var names []string
	for _, t := range tuples {
		if t.EntityType != entityType || t.EntityID != AnyEntity && t.EntityID != entityID {
			continue
		}
		given, _ := m.Given(t)
		for _, name := range given {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
