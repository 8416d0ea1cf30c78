package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// Error is a refusal that the relay explained.
type Error = apiclient.Error

// Client calls the operator's routes.
type Client struct{ calls *apiclient.Client }

// NewClient makes a client for the relay at base. client adds the token of the calling
// service: authn.TokenSource.Transport does, for Audience and Scope.
func NewClient(base string, client *http.Client) (*Client, error) {
	calls, err := apiclient.New(base, client)
	if err != nil {
		return nil, err
	}
	return &Client{calls: calls}, nil
}

// Erasures returns a page of erasures, oldest first.
func (c *Client) Erasures(ctx context.Context, f ErasureFilter) (Erasures, error) {
	query := url.Values{}
	if f.State != "" {
		query.Set("state", f.State)
	}
	if f.Late {
		query.Set("late", "true")
	}
	if f.User != "" {
		query.Set("user", base64.RawURLEncoding.EncodeToString([]byte(f.User)))
	}
	if f.After != "" {
		query.Set("after", f.After)
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return apiclient.Do[Erasures](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "erasures"}, Query: query})
}

// Erasure returns one erasure with its answers and certificate.
func (c *Client) Erasure(ctx context.Context, id string) (ErasureDetail, error) {
	return apiclient.Do[ErasureDetail](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "erasures", id}})
}

// ReleaseErasure lets an erasure go on that is held, by the breaker or by a legal
// hold, which is lifted.
func (c *Client) ReleaseErasure(ctx context.Context, id string) (ErasureDetail, error) {
	return apiclient.Do[ErasureDetail](ctx, c.calls, apiclient.Call{Method: http.MethodPost, Path: []string{"v1", "erasures", id, "release"}})
}

// HoldErasure stops an erasure that has asked nobody yet, by a legal hold on its user.
func (c *Client) HoldErasure(ctx context.Context, id, reason string) (ErasureDetail, error) {
	return c.decide(ctx, id, "hold", HoldRequest{Reason: reason})
}

// RetryErasure asks the participants again and gives them a new deadline.
func (c *Client) RetryErasure(ctx context.Context, id string) (ErasureDetail, error) {
	return c.decide(ctx, id, "retry", nil)
}

// Readmit lets the user of an erasure come back: what was erased stays erased.
func (c *Client) Readmit(ctx context.Context, id, userID, reason string) (ErasureDetail, error) {
	return c.decide(ctx, id, "readmit", ReadmitRequest{UserID: userID, Reason: reason})
}

func (c *Client) decide(ctx context.Context, id, decision string, body any) (ErasureDetail, error) {
	return apiclient.Do[ErasureDetail](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "erasures", id, decision}, Body: body,
	})
}

// HoldUser places a legal hold on a user; an erasure that is open, or is opened
// later, waits until it is lifted.
func (c *Client) HoldUser(ctx context.Context, userID, reason string) (LegalHold, error) {
	return apiclient.Do[LegalHold](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "legal-holds"}, Body: HoldUserRequest{UserID: userID, Reason: reason},
	})
}

// LiftHold ends a legal hold.
func (c *Client) LiftHold(ctx context.Context, id string) (LiftedHold, error) {
	return apiclient.Do[LiftedHold](ctx, c.calls, apiclient.Call{Method: http.MethodDelete, Path: []string{"v1", "legal-holds", id}})
}

// LegalHolds returns a page of the legal holds that are not lifted.
func (c *Client) LegalHolds(ctx context.Context, after string) (LegalHolds, error) {
	query := url.Values{}
	if after != "" {
		query.Set("after", after)
	}
	return apiclient.Do[LegalHolds](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "legal-holds"}, Query: query})
}

// Revoke revokes a user, session, token or client, or blocks a user. kind is one
// of the Kind constants.
func (c *Client) Revoke(ctx context.Context, kind, id string) (Revocation, error) {
	return apiclient.Do[Revocation](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "revocations"}, Body: RevokeRequest{Kind: kind, ID: id},
	})
}

// Lift takes a revocation away. It answers 404 not-revoked if there is none.
func (c *Client) Lift(ctx context.Context, kind, id string) (Lifted, error) {
	return apiclient.Do[Lifted](ctx, c.calls, apiclient.Call{
		Method: http.MethodDelete, Path: []string{"v1", "revocations", kind, base64.RawURLEncoding.EncodeToString([]byte(id))},
	})
}

// RebuildRevocations projects every live revocation into the bucket again.
func (c *Client) RebuildRevocations(ctx context.Context) (Rebuild, error) {
	return apiclient.Do[Rebuild](ctx, c.calls, apiclient.Call{Method: http.MethodPost, Path: []string{"v1", "revocations", "rebuild"}})
}

// Reconcile runs one pass and returns its result; one that takes long is still
// running, and Reconciliation tells how it ended.
func (c *Client) Reconcile(ctx context.Context, request ReconcileRequest) (Reconciliation, error) {
	return apiclient.Do[Reconciliation](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "reconciliations"}, Body: request,
	})
}

// Reconciliation returns the result of a pass.
func (c *Client) Reconciliation(ctx context.Context, id string) (Reconciliation, error) {
	return apiclient.Do[Reconciliation](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "reconciliations", id}})
}

// Events returns a page of events, oldest first.
func (c *Client) Events(ctx context.Context, f EventFilter) (Events, error) {
	query := url.Values{"after": {strconv.FormatInt(f.After, 10)}}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339))
	}
	if f.Type != "" {
		query.Set("type", f.Type)
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return apiclient.Do[Events](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "events"}, Query: query})
}

// Replay publishes a batch of events again.
func (c *Client) Replay(ctx context.Context, request ReplayRequest) (Replay, error) {
	return apiclient.Do[Replay](ctx, c.calls, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "events", "replays"}, Body: request,
	})
}

// Sources returns what each source of facts delivered and was refused for.
func (c *Client) Sources(ctx context.Context) (Sources, error) {
	return apiclient.Do[Sources](ctx, c.calls, apiclient.Call{Method: http.MethodGet, Path: []string{"v1", "sources"}})
}
