package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// setTypes is the header type of a Security Event Token (RFC 8417, section 2.3).
var setTypes = []string{"secevent+jwt"}

// maxEvents bounds the events of one token; RFC 8417 wants them to be aspects of one.
const maxEvents = 16

// SecurityEvent is a verified Security Event Token: something that happened to
// a subject, told by an issuer. It is immutable. It has no end: whoever takes
// it remembers TokenID for as long as it accepts events of that age.
type SecurityEvent struct {
	issuer, tokenID, transactionID string
	audiences                      []string
	issuedAt, occurredAt           time.Time
	subject                        SubjectID
	subjectJSON                    string
	events                         []securityEvent
}

type securityEvent struct{ uri, payload string }

// SubjectID is whom an event is about (RFC 9493). Which fields are set depends
// on Format; SecurityEvent.SubjectJSON has those of other formats.
type SubjectID struct {
	// Format is "iss_sub", "opaque", "email", "account", "uri" or another.
	Format string
	// Issuer and Subject are set for "iss_sub".
	Issuer, Subject string
	// ID is set for "opaque".
	ID string
	// Email is set for "email".
	Email string
	// URI is set for "account" and "uri".
	URI string
}

// Issuer is the token's `iss`.
func (e *SecurityEvent) Issuer() string { return e.issuer }

// TokenID is the `jti`: the same event sent again has the same.
func (e *SecurityEvent) TokenID() string { return e.tokenID }

// TransactionID is the `txn`, or "".
func (e *SecurityEvent) TransactionID() string { return e.transactionID }

// Audiences returns a copy of `aud`.
func (e *SecurityEvent) Audiences() []string { return slices.Clone(e.audiences) }

// IssuedAt is `iat`, in whole seconds rounded down.
func (e *SecurityEvent) IssuedAt() time.Time { return e.issuedAt }

// OccurredAt is `toe`, or zero.
func (e *SecurityEvent) OccurredAt() time.Time { return e.occurredAt }

// Subject is whom the event is about.
func (e *SecurityEvent) Subject() SubjectID { return e.subject }

// SubjectJSON returns a copy of `sub_id` as it was sent.
func (e *SecurityEvent) SubjectJSON() []byte { return []byte(e.subjectJSON) }

// Types returns the URIs of the events, in the order of the token.
func (e *SecurityEvent) Types() []string {
	types := make([]string, len(e.events))
	for i, ev := range e.events {
		types[i] = ev.uri
	}
	return types
}

// Payload returns a copy of an event's JSON object, and whether the token has
// an event of this type.
func (e *SecurityEvent) Payload(uri string) ([]byte, bool) {
	for _, ev := range e.events {
		if ev.uri == uri {
			return []byte(ev.payload), true
		}
	}
	return nil, false
}

// String names the issuer only: subjects are personal data.
func (e *SecurityEvent) String() string { return "security event of " + e.issuer }

// VerifySET verifies a Security Event Token (RFC 8417) with the keys of the
// configured issuers. One of audiences must be in `aud`; without any, one of
// Options.Audiences. `typ` must be secevent+jwt, so that no other token passes
// for an event, nor an event for another token; `iss`, `iat`, `jti`, `aud`,
// `events` and `sub_id` are required; `exp` and `sub` are refused. Age and
// repetition are the caller's to judge: see SecurityEvent.
func (v *Verifier) VerifySET(ctx context.Context, token string, audiences ...string) (*SecurityEvent, error) {
	now := v.now()
	t, err := parseCompact(own(token[:min(len(token), maxTokenBytes+1)]))
	if err != nil {
		return nil, err
	}
	if !typAccepted(setTypes, t.header.Typ) {
		return nil, malformed("header: typ: not that of a security event")
	}
	name, err := readIssuer(t)
	if err != nil {
		return nil, err
	}
	i := v.issuers[name]
	if i == nil {
		return nil, ErrUnknownIssuer
	}
	if !slices.Contains(i.profile.algorithms, t.header.Alg) {
		return nil, malformed("header: alg: not accepted of this issuer")
	}
	if _, err := i.checkSignature(ctx, t, now); err != nil {
		return nil, err
	}
	e, err := decodeSET(t)
	if err != nil {
		return nil, err
	}
	if e.issuer != i.name {
		return nil, badClaim("iss: does not name the issuer")
	}
	if e.issuedAt.After(now.Add(leeway)) {
		return nil, fmt.Errorf("%w: iat", ErrNotYetValid)
	}
	if len(audiences) == 0 {
		audiences = v.audiences
	}
	if !slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(e.audiences, a) }) {
		return nil, ErrAudience
	}
	return e, nil
}

func decodeSET(t compactToken) (*SecurityEvent, error) {
	if !t.payloadValid {
		return nil, fmt.Errorf("%w: decode: %w", ErrClaims, whyInvalid(t.payload))
	}
	e := &SecurityEvent{}
	err := eachMember(trimJSON(t.payload), func(name, value string) error {
		if value == "null" {
			return nil
		}
		return e.set(name, value)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: decode: %w", ErrClaims, err)
	}
	switch {
	case e.tokenID == "":
		return nil, badClaim("jti: is missing")
	case e.issuedAt.IsZero():
		return nil, badClaim("iat: is missing")
	case len(e.audiences) == 0 || len(e.audiences) > maxAudiences || slices.Contains(e.audiences, ""):
		return nil, badClaim("aud: must name 1 to %d audiences", maxAudiences)
	case len(e.events) == 0 || len(e.events) > maxEvents:
		return nil, badClaim("events: must hold 1 to %d", maxEvents)
	case e.subject.Format == "":
		return nil, badClaim("sub_id: is missing")
	}
	return e, nil
}

// set stores one claim.
func (e *SecurityEvent) set(name, value string) (err error) {
	switch name {
	case "iss":
		e.issuer, err = readString(value)
	case "aud":
		e.audiences, err = readStrings(value)
	case "jti":
		e.tokenID, err = readID(value)
	case "txn":
		e.transactionID, err = readID(value)
	case "iat":
		e.issuedAt, err = readTime(value)
	case "toe":
		e.occurredAt, err = readTime(value)
	case "events":
		e.events, err = readEvents(value)
	case "sub_id":
		e.subject, err = readSubjectID(value)
		e.subjectJSON = value
	case "exp", "sub":
		err = errors.New("not in a security event")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func readTime(value string) (time.Time, error) {
	seconds, err := readDate(value)
	return time.Unix(seconds, 0), err
}

func readEvents(value string) (events []securityEvent, err error) {
	err = eachMember(value, func(uri, payload string) error {
		switch {
		case uri == "":
			return errors.New("an event type must be a URI")
		case payload[0] != '{':
			return errors.New("an event must be an object")
		}
		events = append(events, securityEvent{uri: uri, payload: payload})
		return nil
	})
	return events, err
}

func readSubjectID(value string) (id SubjectID, err error) {
	err = eachMember(value, func(name, member string) (err error) {
		switch name {
		case "format":
			id.Format, err = readID(member)
		case "iss":
			id.Issuer, err = readID(member)
		case "sub":
			id.Subject, err = readID(member)
		case "id":
			id.ID, err = readID(member)
		case "email":
			id.Email, err = readID(member)
		case "uri", "url":
			id.URI, err = readString(member)
		}
		return err
	})
	switch {
	case err != nil:
		return SubjectID{}, err
	case id.Format == "":
		return SubjectID{}, errors.New("format: is missing")
	case id.Format == "iss_sub" && (id.Issuer == "" || id.Subject == ""), id.Format == "opaque" && id.ID == "":
		return SubjectID{}, fmt.Errorf("format %s: its members are missing", id.Format)
	}
	return id, nil
}

// eachMember calls f for each member of an object, in valid JSON.
func eachMember(object string, f func(name, value string) error) error {
	if object[0] != '{' {
		return errors.New("must be an object")
	}
	for at := inside(object); ; {
		quoted, value, ok := at.member()
		if !ok {
			return nil
		}
		name, err := unquote(quoted)
		if err == nil {
			err = f(name, value)
		}
		if err != nil {
			return err
		}
	}
}
