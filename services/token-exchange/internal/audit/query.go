package audit

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// Rows of one page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Query narrows what is listed. Empty fields mean everything.
type Query struct {
	ClientID, KeyID, Address, Reason, UserID string
	TokenHash                                []byte
	Granted                                  *bool
	Since, Until                             time.Time
	Before                                   int64
	Limit                                    int
}

// endless is later than anything that happens.
var endless = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

var known = map[string]bool{
	"client_id": true, "key_id": true, "address": true, "reason": true, "user_id": true, "token_sha256": true,
	"granted": true, "since": true, "until": true, "before": true, "limit": true,
}

// Bind reads the query string. What it does not know it refuses: a filter with a
// typing mistake would list everything.
func (q *Query) Bind(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.ErrInvalidRequest.Because(err)
	}
	for name, v := range values {
		if !known[name] || len(v) > 1 {
			return problem.ErrInvalidRequest.Becausef("a parameter is not known, or is repeated")
		}
	}
	*q = Query{
		ClientID: values.Get("client_id"), KeyID: values.Get("key_id"), Address: values.Get("address"), Reason: values.Get("reason"),
		Until: endless, Before: math.MaxInt64, Limit: defaultLimit,
	}
	user, err := base64.RawURLEncoding.Strict().DecodeString(values.Get("user_id"))
	q.UserID = string(user)
	read(&err, values, "token_sha256", &q.TokenHash, hex.DecodeString)
	read(&err, values, "granted", &q.Granted, func(s string) (*bool, error) { b, err := strconv.ParseBool(s); return &b, err })
	read(&err, values, "since", &q.Since, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) })
	read(&err, values, "until", &q.Until, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) })
	read(&err, values, "before", &q.Before, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	read(&err, values, "limit", &q.Limit, strconv.Atoi)
	if err != nil {
		return problem.ErrInvalidRequest.Because(err)
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return problem.ErrInvalidRequest.Becausef("limit is not a number from 1 to %d", maxLimit)
	}
	return nil
}

// read keeps the first error.
func read[T any](err *error, values url.Values, name string, to *T, parse func(string) (T, error)) {
	if *err != nil || !values.Has(name) {
		return
	}
	*to, *err = parse(values.Get(name))
}

// Reader answers queries.
type Reader interface {
	Exchanges(ctx context.Context, q Query) ([]api.Exchange, error)
	Refusals(ctx context.Context, q Query) ([]api.Refusals, error)
	Changes(ctx context.Context, q Query) ([]api.Change, error)
}

// Register serves the audit to whoever may read it.
func Register(m *access.Mux, r Reader) {
	kit.Handle(m, "GET /v1/audit/exchanges", kit.NoBody[Query], func(ctx context.Context, q Query) (api.ExchangeList, error) {
		rows, err := r.Exchanges(ctx, q)
		list := api.ExchangeList{Exchanges: append([]api.Exchange{}, rows...)}
		if len(rows) == q.Limit {
			list.Next = rows[len(rows)-1].ID
		}
		return list, err
	}, http.StatusOK)
	kit.Handle(m, "GET /v1/audit/refusals", kit.NoBody[Query], func(ctx context.Context, q Query) (api.RefusalsList, error) {
		rows, err := r.Refusals(ctx, q)
		return api.RefusalsList{Refusals: append([]api.Refusals{}, rows...)}, err
	}, http.StatusOK)
	kit.Handle(m, "GET /v1/audit/changes", kit.NoBody[Query], func(ctx context.Context, q Query) (api.ChangeList, error) {
		rows, err := r.Changes(ctx, q)
		list := api.ChangeList{Changes: append([]api.Change{}, rows...)}
		if len(rows) == q.Limit {
			list.Next = rows[len(rows)-1].ID
		}
		return list, err
	}, http.StatusOK)
}
