// Package etag is optimistic concurrency over HTTP: an entity's version is its
// ETag, and If-Match makes a change conditional on it (RFC 9110, section 13.1.1).
package etag

import (
	"net/http"
	"strconv"

	"github.com/shadowless/shadowless/internal/problem"
)

// The problems of a condition.
var (
	ErrInvalid = problem.New(http.StatusBadRequest, "invalid-if-match", "If-Match must be one ETag that this service gave out.")
	ErrFailed  = problem.New(http.StatusPreconditionFailed, "version-changed", "This was changed meanwhile. Read it again and decide anew.")
)

// Any is the version that matches every other one: no condition was made.
const Any int64 = 0

// Set writes the version as the answer's ETag.
func Set(h http.Header, version int64) {
	h.Set("ETag", strconv.Quote(strconv.FormatInt(version, 10)))
}

// IfMatch reads the version that a change is conditional on, or Any.
func IfMatch(r *http.Request) (int64, error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return Any, nil
	}
	if len(values) != 1 {
		return Any, ErrInvalid
	}
	if values[0] == "*" {
		return Any, nil
	}
	v := values[0]
	if len(v) < 3 || v[0] != '"' || v[len(v)-1] != '"' {
		return Any, ErrInvalid
	}
	digits := v[1 : len(v)-1]
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || version < 1 || strconv.FormatInt(version, 10) != digits {
		return Any, ErrInvalid
	}
	return version, nil
}

// Check compares a condition with the current version.
func Check(wanted, current int64) error {
	if wanted != Any && wanted != current {
		return ErrFailed
	}
	return nil
}
