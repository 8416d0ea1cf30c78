// Package reply writes answers in the shapes the identity provider uses: each
// family of routes has its own error body.
package reply

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// JSON writes value with the status. HTML characters stay as they are, as the
// original server leaves them.
func JSON(w http.ResponseWriter, status int, value any) {
	var body strings.Builder
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		Empty(w, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(strings.TrimSuffix(body.String(), "\n")))
}

// Auth writes better-auth's error: {"code":"UPPER_SNAKE","message"}.
func Auth(w http.ResponseWriter, status int, code, message string) {
	JSON(w, status, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
}

// Own writes Auther's own routes' error: {"error":"lower_snake","message"}.
func Own(w http.ResponseWriter, status int, code, message string) {
	JSON(w, status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{code, message})
}

// OAuth writes {"error_description","error"} in the order the server does.
func OAuth(w http.ResponseWriter, status int, code, description string) {
	JSON(w, status, struct {
		Description string `json:"error_description"`
		Error       string `json:"error"`
	}{description, code})
}

// Empty writes a status without a body or a content type.
func Empty(w http.ResponseWriter, status int) {
	w.Header()["Content-Type"] = nil
	w.WriteHeader(status)
}

// Unauthorized is the answer to a missing session: a JSON content type and no body.
func Unauthorized(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
}

// Methods guards a handler: another method gets 405 with an empty body.
func Methods(handler http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range methods {
			if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
				handler(w, r)
				return
			}
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		Empty(w, http.StatusMethodNotAllowed)
	})
}

// Body reads a JSON body. Unknown fields pass, as they do at the original.
func Body[T any](r *http.Request) (T, error) {
	var value T
	err := json.NewDecoder(r.Body).Decode(&value)
	return value, err
}

// Time is a moment in the format JavaScript's Date gives: UTC, milliseconds.
type Time time.Time

// MarshalJSON writes null for the zero time.
func (t Time) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z") + `"`), nil
}
