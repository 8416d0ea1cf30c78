// Package problem is the one way in which this repository answers an HTTP error:
// a problem document of RFC 9457 with a stable type, a status and one fixed
// public sentence. The cause never leaves the process; it is logged.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shadowless/shadowless/internal/telemetry"
)

// ContentType of a problem document.
const ContentType = "application/problem+json"

// typeBase makes a code into the URL of its paragraph in the documentation.
const typeBase = "https://github.com/shadowless/shadowless/blob/main/docs/problems.md#"

// Error is an error with a public face. Compare with errors.Is against the
// sentinel that New returned.
type Error struct {
	Status     int
	Code       string // kebab-case, unique, part of the type URL
	Sentence   string // public, fixed
	RetryAfter time.Duration
	kind       *Error // the sentinel that this one was made from
	cause      error  // logged only
}

// New makes a sentinel. Sentences are fixed at compile time: put nothing in
// them that a caller sent.
func New(status int, code, sentence string) *Error {
	e := &Error{Status: status, Code: code, Sentence: sentence}
	known.Lock()
	defer known.Unlock()
	known.list = append(known.list, e)
	return e
}

// known are all sentinels of the program; documentation is made from them.
var known struct {
	sync.Mutex
	list []*Error
}

// Known lists every sentinel that the program was built with, sorted by code.
// Packages of different services may use one code; then its status is the same.
func Known() []Error {
	known.Lock()
	defer known.Unlock()
	out := make([]Error, len(known.list))
	for i, e := range known.list {
		out[i] = Error{Status: e.Status, Code: e.Code, Sentence: e.Sentence}
	}
	slices.SortStableFunc(out, func(a, b Error) int { return strings.Compare(a.Code, b.Code) })
	return out
}

// Because is the sentinel with a cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause, c.kind = cause, e.sentinel()
	return &c
}

// Becausef is Because with a formatted cause.
func (e *Error) Becausef(format string, args ...any) *Error {
	return e.Because(fmt.Errorf(format, args...))
}

// After is the sentinel with a Retry-After header.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter, c.kind = d, e.sentinel()
	return &c
}

func (e *Error) sentinel() *Error {
	if e.kind != nil {
		return e.kind
	}
	return e
}

func (e *Error) Error() string {
	if e.cause == nil {
		return e.Code
	}
	return e.Code + ": " + e.cause.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is makes every copy equal to its sentinel.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) //nolint:errorlint // Is compares one link of the chain
	return ok && e.sentinel() == t.sentinel()
}

// The errors that every service answers alike.
var (
	ErrInternal         = New(http.StatusInternalServerError, "internal", "Something went wrong on our side.")
	ErrNotFound         = New(http.StatusNotFound, "not-found", "There is nothing at this address.")
	ErrMethodNotAllowed = New(http.StatusMethodNotAllowed, "method-not-allowed", "This address does not support that method.")
	ErrInvalidRequest   = New(http.StatusBadRequest, "invalid-request", "The request is not valid.")
	ErrBodyTooLarge     = New(http.StatusRequestEntityTooLarge, "body-too-large", "The request body is too large.")
	ErrMediaType        = New(http.StatusUnsupportedMediaType, "unsupported-media-type", "The request body must be JSON.")
	ErrForbidden        = New(http.StatusForbidden, "forbidden", "You may not do this.")
	ErrUnavailable      = New(http.StatusServiceUnavailable, "unavailable", "This is not available right now. Try again later.")
)

// Document is the body of a problem answer.
type Document struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// From finds the public face of err; anything unknown is ErrInternal.
func From(err error) *Error {
	if p, ok := errors.AsType[*Error](err); ok {
		return p
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ErrBodyTooLarge.Because(err)
	}
	return ErrInternal.Because(err)
}

// Write answers err. Its cause goes into the request's log line.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	p := From(err)
	telemetry.Annotate(r.Context(), slog.String("code", p.Code), slog.String("cause", err.Error()))
	WriteDocument(w, p)
}

// WriteDocument writes p and logs nothing.
func WriteDocument(w http.ResponseWriter, p *Error) {
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(p.Status)
	// The connection may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(Document{
		Type: typeBase + p.Code, Title: http.StatusText(p.Status), Status: p.Status, Detail: p.Sentence, Code: p.Code,
	})
}
