package lifecycle

import (
	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
	"github.com/shadowless/shadowless/services/dev-idp/internal/webhooks"
)

type userData struct {
	ID            string     `json:"id"`
	Email         string     `json:"email"`
	Name          string     `json:"name"`
	EmailVerified bool       `json:"emailVerified"`
	Banned        *bool      `json:"banned,omitempty"`
	UpdatedAt     reply.Time `json:"updatedAt"`
}

// userEvent tells of a user. In promised mode it says whether the user is
// banned: a ban has no type of its own.
func (s *Service) userEvent(kind string, u users.User) webhooks.Event {
	data := userData{ID: u.ID, Email: u.Email, Name: u.Name, EmailVerified: u.EmailVerified, UpdatedAt: reply.Time(u.UpdatedAt)}
	if !s.Mode.Observed() {
		data.Banned = &u.Banned
	}
	return webhooks.Event{Type: kind, UserID: u.ID, Data: data}
}

type sessionData struct {
	ID        string     `json:"id"`
	UserID    string     `json:"userId"`
	ExpiresAt reply.Time `json:"expiresAt"`
	IPAddress string     `json:"ipAddress"`
	UserAgent string     `json:"userAgent"`
}

func sessionEvent(kind string, session sessions.Session) webhooks.Event {
	return webhooks.Event{Type: kind, UserID: session.UserID, Data: sessionData{
		ID: session.ID, UserID: session.UserID, ExpiresAt: reply.Time(session.ExpiresAt), IPAddress: session.IPAddress, UserAgent: session.UserAgent,
	}}
}

func endedEvents(ended []sessions.Session) []webhooks.Event {
	events := make([]webhooks.Event, 0, len(ended))
	for _, session := range ended {
		events = append(events, sessionEvent(webhooks.SessionDeleted, session))
	}
	return events
}

type grantData struct {
	TupleID      string `json:"tupleId"`
	SubjectType  string `json:"subjectType"`
	SubjectID    string `json:"subjectId"`
	EntityType   string `json:"entityType"`
	EntityID     string `json:"entityId"`
	Relation     string `json:"relation"`
	HasCondition bool   `json:"hasCondition"`
	ClientID     string `json:"clientId,omitempty"`
}

func grantEvent(kind string, t permissions.Tuple) webhooks.Event {
	return webhooks.Event{Type: kind, Data: grantData{
		TupleID: t.ID(), SubjectType: t.SubjectType, SubjectID: t.SubjectID, EntityType: t.EntityType, EntityID: t.EntityID,
		Relation: t.Relation, ClientID: t.Client(),
	}}
}

type memberData struct {
	GroupID string `json:"groupId"`
	UserID  string `json:"userId"`
}

type accountData struct {
	ID         string `json:"id"`
	UserID     string `json:"userId"`
	ProviderID string `json:"providerId"`
	AccountID  string `json:"accountId"`
}
