package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const maxAnswerSize = 4 << 20

// Error is an answer that is not a success.
type Error struct {
	Status int
	Code   string // the problem's code
	Detail string // the public sentence
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("token-exchange answered %d", e.Status)
	}
	return fmt.Sprintf("token-exchange answered %d: %s", e.Status, e.Detail)
}

// Admin calls the administration of token-exchange.
type Admin struct {
	base string
	http *http.Client
}

// NewAdmin makes a client of the service at baseURL. httpClient must add the
// caller's token (authn.TokenSource.Transport), for audience "token-exchange"
// and with AdminScope.
func NewAdmin(baseURL string, httpClient *http.Client) *Admin {
	return &Admin{base: strings.TrimRight(baseURL, "/"), http: httpClient}
}

// Clients lists every client.
func (a *Admin) Clients(ctx context.Context) ([]Client, error) {
	var out ClientList
	err := a.call(ctx, http.MethodGet, "/v1/clients", nil, &out)
	return out.Clients, err
}

// Client returns one client.
func (a *Admin) Client(ctx context.Context, id string) (Client, error) {
	var out Client
	err := a.call(ctx, http.MethodGet, clientPath(id), nil, &out)
	return out, err
}

// CreateClient registers a client.
func (a *Admin) CreateClient(ctx context.Context, spec ClientSpec) (Client, error) {
	var out Client
	err := a.call(ctx, http.MethodPost, "/v1/clients", spec, &out)
	return out, err
}

// ChangeClient changes what the patch names.
func (a *Admin) ChangeClient(ctx context.Context, id string, patch ClientPatch) (Client, error) {
	var out Client
	err := a.call(ctx, http.MethodPatch, clientPath(id), patch, &out)
	return out, err
}

// Keys lists a client's keys, revoked ones included.
func (a *Admin) Keys(ctx context.Context, id string) ([]APIKey, error) {
	var out KeyList
	err := a.call(ctx, http.MethodGet, clientPath(id)+"/keys", nil, &out)
	return out.Keys, err
}

// CreateKey makes a key. The answer is the only place where it can be read.
func (a *Admin) CreateKey(ctx context.Context, id string, want NewKey) (IssuedKey, error) {
	var out IssuedKey
	err := a.call(ctx, http.MethodPost, clientPath(id)+"/keys", want, &out)
	return out, err
}

// RevokeKey ends a key at once. Revoking it again changes nothing.
func (a *Admin) RevokeKey(ctx context.Context, id, keyID string) error {
	return a.call(ctx, http.MethodDelete, keyPath(id, keyID), nil, nil)
}

// DeclareClient makes a client what spec says, whatever it was. Its keys and a
// block stay.
func (a *Admin) DeclareClient(ctx context.Context, spec ClientSpec) (Client, error) {
	var out Client
	err := a.call(ctx, http.MethodPut, clientPath(spec.ID), spec, &out)
	return out, err
}

// ImportKey adds a key that was generated elsewhere. Again changes nothing.
func (a *Admin) ImportKey(ctx context.Context, id string, key Key) (APIKey, error) {
	var out APIKey
	err := a.call(ctx, http.MethodPut, keyPath(id, key.ID()), ImportedKey{Secret: key.Reveal()}, &out)
	return out, err
}

// RotateKey makes a key's successor, which is in the answer alone, and ends the
// key itself after the overlap.
func (a *Admin) RotateKey(ctx context.Context, id, keyID string, want RotateKey) (IssuedKey, error) {
	var out IssuedKey
	err := a.call(ctx, http.MethodPost, keyPath(id, keyID)+"/rotate", want, &out)
	return out, err
}

// KeyStatus says what has become of a key. It needs no token: the key is proof.
func (a *Admin) KeyStatus(ctx context.Context, key string) (KeyStatus, error) {
	var out KeyStatus
	err := a.call(ctx, http.MethodPost, "/v1/keys/status", PresentedKey{Secret: key}, &out)
	return out, err
}

// RevokeHeldKey ends a key at once. It needs no token: the key is proof.
func (a *Admin) RevokeHeldKey(ctx context.Context, key string) (KeyStatus, error) {
	var out KeyStatus
	err := a.call(ctx, http.MethodPost, "/v1/keys/revoke", PresentedKey{Secret: key}, &out)
	return out, err
}

func keyPath(id, keyID string) string { return clientPath(id) + "/keys/" + url.PathEscape(keyID) }

func clientPath(id string) string { return "/v1/clients/" + url.PathEscape(id) }

func (a *Admin) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return fmt.Errorf("build the request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("call token-exchange: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerSize))
	if err != nil {
		return fmt.Errorf("read token-exchange's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		failure := &Error{Status: resp.StatusCode}
		var problem struct{ Code, Detail string }
		if json.Unmarshal(raw, &problem) == nil {
			failure.Code, failure.Detail = problem.Code, problem.Detail
		}
		return failure
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return errors.Join(errors.New("token-exchange's answer is not what was expected"), err)
	}
	return nil
}
