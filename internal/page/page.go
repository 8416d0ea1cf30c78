// Package page is cursor pagination by UUIDv7, newest first. A cursor is opaque
// to clients; it says where a page ended and nothing about whose page it was,
// so it grants nothing: each query still names its owner.
package page

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/problem"
)

// Limits of one page, in rows.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// cursorVersion lets the form of cursors change without misreading old ones.
const cursorVersion = 1

// ErrInvalid answers a limit or cursor that is not valid.
var ErrInvalid = problem.New(http.StatusBadRequest, "invalid-page", "The limit must be 1 to 100 and the cursor one that this service gave out.")

// Page is what a client asked for. A nil Before means from the newest.
type Page struct {
	Limit  int
	Before *uuid.UUID
}

// First is the first page of the default length.
func First() Page { return Page{Limit: DefaultLimit} }

// Parse reads limit and cursor from a query.
func Parse(query url.Values) (Page, error) {
	p := First()
	if query.Has("limit") {
		limit, err := strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > MaxLimit {
			return Page{}, ErrInvalid
		}
		p.Limit = limit
	}
	if query.Has("cursor") {
		raw, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
		if err != nil || len(raw) != 1+len(uuid.UUID{}) || raw[0] != cursorVersion {
			return Page{}, ErrInvalid
		}
		id := uuid.UUID(raw[1:])
		p.Before = &id
	}
	return p, nil
}

// Cut takes rows of a query with LIMIT p.Limit+1 and returns the page with the
// cursor of the next one, or "" at the end.
func Cut[T any](p Page, rows []T, id func(T) uuid.UUID) (page []T, next string) {
	if len(rows) <= p.Limit {
		return rows, ""
	}
	rows = rows[:p.Limit]
	last := id(rows[len(rows)-1])
	return rows, base64.RawURLEncoding.EncodeToString(append([]byte{cursorVersion}, last[:]...))
}
