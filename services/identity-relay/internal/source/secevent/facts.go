package secevent

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
)

// Event types that mean something here.
const (
	SessionRevoked    = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	TokenClaimsChange = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"
	AccountDisabled   = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
	AccountEnabled    = "https://schemas.openid.net/secevent/risc/event-type/account-enabled"
	AccountPurged     = "https://schemas.openid.net/secevent/risc/event-type/account-purged"
)

var typeNames = map[string]string{
	SessionRevoked: "caep.session-revoked", TokenClaimsChange: "caep.token-claims-change",
	AccountDisabled: "risc.account-disabled", AccountEnabled: "risc.account-enabled", AccountPurged: "risc.account-purged",
}

const typeOther = "other"

// facts says what an event means here. Types that mean nothing are ignored
// facts: refusing them would only make the transmitter repeat them.
func (t Transmitter) facts(e *authn.SecurityEvent) ([]relay.Fact, error) {
	at := e.IssuedAt()
	if toe := e.OccurredAt(); !toe.IsZero() && toe.Before(at) {
		at = toe
	}
	if at.Before(time.Unix(0, 0)) {
		return nil, refuse(InvalidRequest, "The time of the event cannot be.", nil)
	}
	var facts []relay.Fact
	for i, uri := range e.Types() {
		f := relay.Fact{
			Source: relay.SourceSecurityEvents + ":" + t.Issuer, DeliveryID: deliveryID(e.TokenID(), i), Type: typeOther, OccurredAt: at.UTC(),
		}
		if name, known := typeNames[uri]; known {
			f.Type = name
			if err := t.mean(e, uri, &f); err != nil {
				return nil, err
			}
		}
		facts = append(facts, f)
	}
	return facts, nil
}

func (t Transmitter) mean(e *authn.SecurityEvent, uri string, f *relay.Fact) (err error) {
	who, err := t.subjectOf(e, uri == SessionRevoked)
	if err != nil {
		return err
	}
	f.UserID = who.userID
	switch uri {
	case SessionRevoked:
		f.Kind, f.SessionID = relay.SessionEnded, who.sessionID
		if who.sessionID == "" {
			f.Kind = relay.UserSignedOut
		}
	case TokenClaimsChange:
		f.Kind, f.Outdated, f.Reread = relay.UserUpdated, true, true
	case AccountDisabled:
		// Blocked at once; then the user list has the last word, since an
		// "enabled" may have overtaken it.
		f.Kind, f.Reread = relay.UserBanned, true
	case AccountEnabled:
		// Never let in on its word alone: it may be older than a "disabled".
		f.Kind, f.Reread = relay.UserUpdated, true
	case AccountPurged:
		f.Kind = relay.UserDeleted
	}
	return nil
}

// deliveryID tells several events of one token apart. The first one, mostly the
// only one, goes by the token's ID.
func deliveryID(jti string, i int) string {
	if i == 0 {
		return jti
	}
	sum := sha256.Sum256([]byte(jti))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:]) + "#" + strconv.Itoa(i)
}

// subject is whom an event is about: a user, a session, or a session and its user.
type subject struct{ userID, sessionID string }

// member is a simple subject identifier (RFC 9493) within a complex one.
type member struct {
	Format  string `json:"format"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	ID      string `json:"id"`
}

// subjectOf reads sub_id. An opaque ID is a user's, but of an event about a
// session it is the session's, as CAEP uses it. E-mail addresses and telephone
// numbers name nobody here: no service holds them.
func (t Transmitter) subjectOf(e *authn.SecurityEvent, session bool) (who subject, err error) {
	id := e.Subject()
	switch id.Format {
	case "iss_sub":
		who.userID, err = t.user(id.Issuer, id.Subject)
	case "opaque":
		if session {
			who.sessionID = id.ID
		} else {
			who.userID = t.namespace + id.ID
		}
	case "complex":
		who, err = t.complexSubject(e.SubjectJSON())
	default:
		err = refuse(InvalidRequest, "The format of sub_id is not supported; iss_sub and opaque are.", nil)
	}
	if err == nil && who.userID == "" && (who.sessionID == "" || !session) {
		err = refuse(InvalidRequest, "The subject names nobody.", nil)
	}
	return who, err
}

func (t Transmitter) complexSubject(raw []byte) (who subject, err error) {
	var parts struct {
		User    *member `json:"user"`
		Session *member `json:"session"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return who, refuse(InvalidRequest, "The subject is not as RFC 9493 says.", err)
	}
	if s := parts.Session; s != nil {
		if s.Format != "opaque" || s.ID == "" {
			return who, refuse(InvalidRequest, "The session of a subject must be opaque.", nil)
		}
		who.sessionID = s.ID
	}
	u := parts.User
	switch {
	case u == nil:
	case u.Format == "iss_sub" && u.Subject != "":
		who.userID, err = t.user(u.Issuer, u.Subject)
	case u.Format == "opaque" && u.ID != "":
		who.userID = t.namespace + u.ID
	default:
		err = refuse(InvalidRequest, "The format of the subject's user is not supported; iss_sub and opaque are.", nil)
	}
	return who, err
}

// user refuses to hear of users whom the transmitter has nothing to say about.
func (t Transmitter) user(issuer, sub string) (string, error) {
	if !slices.Contains(t.subjects, issuer) {
		return "", refuse(AccessDenied, "The transmitter may not speak of that issuer's users.", nil)
	}
	return t.namespace + sub, nil
}
