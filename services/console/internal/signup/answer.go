package signup

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
)

// maxWait bounds what the provider may make a person wait for.
const maxWait = time.Hour

// byCode maps the provider's codes, better-auth's and its own, in lower case.
var byCode = map[string]*problem.Error{
	"user_already_exists":                   ErrEmailTaken,
	"user_already_exists_use_another_email": ErrEmailTaken,
	"invalid_email":                         ErrEmail,
	"password_too_short":                    ErrPasswordShort,
	"password_too_long":                     ErrPasswordLong,
	"email_domain_not_allowed":              ErrEmailDomain,
	"unknown_registration_context":          ErrMisconfigured,
}

// read turns the provider's answer into the user ID or one of our sentences.
// The provider's own text is shown to nobody: it may quote what was sent.
func read(status int, header http.Header, raw []byte) (string, error) {
	if status == http.StatusOK {
		var body struct {
			User struct {
				ID string `json:"id"`
			} `json:"user"`
		}
		if err := json.Unmarshal(raw, &body); err != nil || body.User.ID == "" {
			return "", ErrUnavailable.Becausef("the provider's answer names no user")
		}
		return body.User.ID, nil
	}
	var body struct {
		Code  string `json:"code"`  // better-auth
		Error string `json:"error"` // the provider's own routes
	}
	// Some answers are text, some are empty.
	_ = json.Unmarshal(raw, &body)
	code := strings.ToLower(body.Code)
	if code == "" {
		code = body.Error
	}
	cause := fmt.Errorf("the provider answered %d %s", status, logged(code))
	switch known := byCode[code]; {
	case known != nil:
		return "", known.Because(cause)
	case status == http.StatusTooManyRequests:
		return "", ErrTooMany.Because(cause).After(wait(header))
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return "", ErrMisconfigured.Because(cause)
	case status == http.StatusInternalServerError && len(raw) == 0:
		// Seen from a provider that was sent no secret or a wrong one.
		return "", ErrMisconfigured.Because(cause)
	case status >= http.StatusInternalServerError:
		return "", ErrUnavailable.Because(cause).After(retryAfter)
	default:
		return "", ErrRefused.Because(cause)
	}
}

// logged keeps a code that looks like one.
func logged(code string) string {
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "unknown"
	}
	return code
}

func wait(header http.Header) time.Duration {
	for _, name := range []string{"Retry-After", "X-Retry-After"} {
		if seconds, err := strconv.Atoi(header.Get(name)); err == nil && seconds > 0 {
			return min(time.Duration(seconds)*time.Second, maxWait)
		}
	}
	return retryAfter
}
