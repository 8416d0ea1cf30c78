package auther

import (
	"errors"

	"github.com/go-json-experiment/json"

	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
)

const subjectUser = "user"

// factOf says what a delivery means here. Types that mean nothing, or that a
// later Auther adds, are ignored facts: refusing them would only make the sender
// repeat them.
func factOf(d delivery) (relay.Fact, error) {
	f := relay.Fact{Source: relay.SourceAuther, DeliveryID: d.ID, Type: d.Type, OccurredAt: d.time()}
	var err error
	switch d.Type {
	case "user.created":
		f.Kind = relay.UserCreated
		_, err = userOf(d, &f)
	case "user.updated":
		f.Kind = relay.UserUpdated
		// Two updates within a second cannot be put in order, so a ban is read
		// at its source.
		f.Reread, err = userOf(d, &f)
	case "user.deleted":
		f.Kind = relay.UserDeleted
		_, err = userOf(d, &f)
	case "session.deleted":
		f.Kind = relay.SessionEnded
		err = sessionOf(d, &f)
	case "grant.created":
		err = grantOf(d, &f, relay.Granted)
	case "grant.revoked":
		err = grantOf(d, &f, relay.Revoked)
	case "grant.condition.updated":
		err = grantOf(d, &f, relay.ConditionUpdated)
	case "group.member.added":
		err = memberOf(d, &f, relay.Granted)
	case "group.member.removed":
		err = memberOf(d, &f, relay.Revoked)
	}
	return f, err
}

// userOf also reports whether the data speaks of a ban.
func userOf(d delivery, f *relay.Fact) (bans bool, err error) {
	var data struct {
		ID     string `json:"id"`
		Banned *bool  `json:"banned"`
	}
	err = read(d, &data)
	f.UserID = data.ID
	return data.Banned != nil, err
}

func sessionOf(d delivery, f *relay.Fact) error {
	var data struct {
		ID     string `json:"id"`
		UserID string `json:"userId"`
	}
	err := read(d, &data)
	f.SessionID, f.UserID = data.ID, data.UserID
	return err
}

func grantOf(d delivery, f *relay.Fact, change string) error {
	var data struct {
		SubjectType string `json:"subjectType"`
		SubjectID   string `json:"subjectId"`
		EntityType  string `json:"entityType"`
		EntityID    string `json:"entityId"`
		Relation    string `json:"relation"`
	}
	if err := read(d, &data); err != nil {
		return err
	}
	if data.SubjectType != subjectUser {
		return nil // a grant to an API key or a group concerns no user directly
	}
	f.Kind, f.UserID = relay.AccessChanged, data.SubjectID
	f.Access = &relay.AccessChange{EntityType: data.EntityType, EntityID: data.EntityID, Relation: data.Relation, Change: change}
	return nil
}

func memberOf(d delivery, f *relay.Fact, change string) error {
	var data struct {
		GroupID string `json:"groupId"`
		UserID  string `json:"userId"`
	}
	if err := read(d, &data); err != nil {
		return err
	}
	f.Kind, f.UserID = relay.AccessChanged, data.UserID
	f.Access = &relay.AccessChange{EntityType: "group", EntityID: data.GroupID, Relation: "member", Change: change}
	return nil
}

func read(d delivery, into any) error {
	if err := json.Unmarshal(d.Data, into); err != nil {
		return errors.New("data has members of other types than promised")
	}
	return nil
}
