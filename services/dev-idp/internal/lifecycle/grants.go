package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

// Tuple is a configured grant of a subject.
func Tuple(subjectType, subjectID string, g settings.Grant) permissions.Tuple {
	return permissions.Tuple{
		SubjectType: subjectType, SubjectID: subjectID,
		EntityType: g.EntityType, EntityID: g.EntityID, Relation: g.Relation, TenantID: g.Tenant,
	}
}

// Grant gives a relation. Error: users.ErrNotFound for an unknown user.
func (s *Service) Grant(ctx context.Context, t permissions.Tuple) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		if t.SubjectType == permissions.SubjectUser {
			if _, err := users.LockedByID(ctx, tx, t.SubjectID); err != nil {
				return err
			}
		}
		return s.grant(ctx, tx, t)
	})
}

func (s *Service) grant(ctx context.Context, tx pgx.Tx, t permissions.Tuple) error {
	t.CreatedAt = s.moment()
	added, err := permissions.Add(ctx, tx, t)
	if err != nil || !added {
		return err
	}
	return s.Queue.Enqueue(ctx, tx, grantEvent(webhooks.GrantCreated, t))
}

// Revoke takes a relation away; it is no error if it was not there.
func (s *Service) Revoke(ctx context.Context, t permissions.Tuple) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		removed, err := permissions.Remove(ctx, tx, t)
		if err != nil || !removed {
			return err
		}
		return s.Queue.Enqueue(ctx, tx, grantEvent(webhooks.GrantRevoked, t))
	})
}

// AddMember puts a user into a group. Error: users.ErrNotFound.
func (s *Service) AddMember(ctx context.Context, groupID, userID string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		if _, err := users.LockedByID(ctx, tx, userID); err != nil {
			return err
		}
		added, err := permissions.AddMember(ctx, tx, groupID, userID, s.moment())
		if err != nil || !added {
			return err
		}
		return s.Queue.Enqueue(ctx, tx, webhooks.Event{Type: webhooks.GroupMemberAdded, Data: memberData{GroupID: groupID, UserID: userID}})
	})
}

// RemoveMember takes a user out of a group; it is no error if they were not in it.
func (s *Service) RemoveMember(ctx context.Context, groupID, userID string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		removed, err := permissions.RemoveMember(ctx, tx, groupID, userID)
		if err != nil || !removed {
			return err
		}
		return s.Queue.Enqueue(ctx, tx, webhooks.Event{Type: webhooks.GroupMemberRemoved, Data: memberData{GroupID: groupID, UserID: userID}})
	})
}
