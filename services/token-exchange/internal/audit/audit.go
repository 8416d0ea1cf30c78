// Package audit keeps one record of every attempt to get a token, granted or
// refused. Records are written in batches off the request path; the request's
// log line says the same, except for the user. Attempts that name no key are
// counted per address and minute instead: nobody can fill the database with them.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"
)

// Attempt is one record. It holds hashes of tokens, never a token or a key.
type Attempt struct {
	At               time.Time
	GrantType        string
	Granted          bool
	Reason           string // why it was refused; empty if granted
	ClientID         string
	KeyID            string
	UserID           string // empty for services, and for users who were erased
	Audience         []string
	Scope            string
	TokenID          string
	TokenHash        []byte
	SubjectTokenHash []byte
	Address          string
	// Limited attempts were refused by a limit, before or after their key was
	// proven. They are counted, however many they are.
	Limited bool
}

// Counted attempts leave no row of their own.
func (a *Attempt) Counted() bool {
	return a.Limited || (!a.Granted && a.ClientID == "" && a.KeyID == "")
}

// LogAttrs is the record as the request's log line holds it: everything but the
// user and the subject token.
func (a *Attempt) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("grant_type", a.GrantType), slog.Bool("granted", a.Granted),
		slog.String("client_id", a.ClientID), slog.String("key_id", a.KeyID), slog.String("token_id", a.TokenID),
	}
	if a.Address != "" {
		attrs = append(attrs, slog.String("address", a.Address))
	}
	if a.Granted {
		attrs = append(attrs, slog.String("audience", strings.Join(a.Audience, " ")), slog.String("scope", a.Scope),
			slog.String("token_sha256", hex.EncodeToString(a.TokenHash)))
	}
	return attrs
}

// Hash is how a token is recorded; nil for none.
func Hash(token string) []byte {
	if token == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Store writes.
type Store interface {
	// WriteAttempts writes a batch in one transaction.
	WriteAttempts(ctx context.Context, batch []Attempt) error
	// AddRefusals adds to the counts of refused attempts.
	AddRefusals(ctx context.Context, counts map[Refusal]int64) error
}

// Refusal is what counted attempts are counted by.
type Refusal struct {
	Minute  time.Time
	Address string
	Reason  string
	KeyID   string // of a proven key over its limit
}
