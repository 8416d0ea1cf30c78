// Package peers are the participants as the relay asks them what they hold of
// users, and the relay itself, which answers the same questions.
package peers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/shadowless/shadowless/internal/apiclient"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Peer is somebody who holds data under user IDs.
type Peer interface {
	Name() string
	holdings.Source
}

var errAnswer = errors.New("the participant's answer is not what was promised")

// Remote is a participant in another process.
type Remote struct {
	name string
	// by scope: a token is good for one of the routes alone
	calls map[string]*apiclient.Client
}

// NewRemote makes one. client returns an HTTP client that adds a token with the scope.
func NewRemote(name, baseURL string, client func(scope string) (*http.Client, error)) (*Remote, error) {
	r := &Remote{name: name, calls: map[string]*apiclient.Client{}}
	for _, scope := range holdings.Scopes {
		authorized, err := client(scope)
		if err != nil {
			return nil, err
		}
		if r.calls[scope], err = apiclient.New(baseURL, authorized); err != nil {
			return nil, fmt.Errorf("participant %s: %w", name, err)
		}
	}
	return r, nil
}

// Name is the participant's.
func (r *Remote) Name() string { return r.name }

// Holdings asks for a page.
func (r *Remote) Holdings(ctx context.Context, after string, limit int) ([]participant.Holding, string, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		query.Set("after", userids.Encode(after))
	}
	page, err := apiclient.Do[holdings.Page](ctx, r.calls[holdings.ListScope], apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "identity", "holdings"}, Query: query,
	})
	if err != nil {
		return nil, "", fmt.Errorf("read holdings of %s: %w", r.name, err)
	}
	next, err := userids.Decode(page.Next)
	if err != nil || next != "" && next <= after {
		return nil, "", fmt.Errorf("read holdings of %s: %w", r.name, errAnswer)
	}
	list := make([]participant.Holding, len(page.Holdings))
	for i, h := range page.Holdings {
		id, err := userids.Decode(h.UserID)
		if err != nil || identity.CheckUserID(id) != nil {
			return nil, "", fmt.Errorf("read holdings of %s: %w", r.name, errAnswer)
		}
		list[i] = participant.Holding{UserID: id, Erased: h.Erased, Places: h.Places}
	}
	return list, next, nil
}

// Export asks for a page.
func (r *Remote) Export(ctx context.Context, userID, cursor string) (participant.ExportPage, error) {
	query := url.Values{}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	page, err := apiclient.Do[participant.ExportPage](ctx, r.calls[holdings.ExportScope], apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "identity", "users", userids.Encode(userID), "export"}, Query: query,
	})
	if refused, ok := errors.AsType[*apiclient.Error](err); ok && refused.Status == http.StatusBadRequest && cursor != "" {
		return page, participant.ErrCursor
	}
	if err != nil {
		return page, fmt.Errorf("export from %s: %w", r.name, err)
	}
	if page.Table == "" || page.Next != "" && page.Next == cursor {
		return page, fmt.Errorf("export from %s: %w", r.name, errAnswer)
	}
	return page, nil
}

// PreviewRekey asks what a rekeying would do.
func (r *Remote) PreviewRekey(ctx context.Context, oldID, newID string) (participant.RekeyPreview, error) {
	preview, err := apiclient.Do[participant.RekeyPreview](ctx, r.calls[holdings.PreviewScope], apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "identity", "users", userids.Encode(oldID), "rekey", userids.Encode(newID)},
	})
	if err != nil {
		return preview, fmt.Errorf("preview a rekeying at %s: %w", r.name, err)
	}
	return preview, nil
}
