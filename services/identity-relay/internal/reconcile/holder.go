package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/identity"
)

const (
	holderPage      = 1000
	maxHolderAnswer = 4 << 20 // bytes; 1000 IDs of 255 bytes in base64 are 350 KB
)

// Holder is somebody who holds data under user IDs. Each calls fn with all of
// them, page after page.
type Holder interface {
	Name() string
	Each(ctx context.Context, fn func([]string)) error
}

// Remote is a participant: GET {BaseURL}/v1/identity/user-ids.
type Remote struct {
	Participant string
	BaseURL     string
	// HTTPClient adds the relay's service token for this participant.
	HTTPClient *http.Client
}

// Name is the participant's.
func (r *Remote) Name() string { return r.Participant }

// Each reads the participant's user IDs.
func (r *Remote) Each(ctx context.Context, fn func([]string)) error {
	for after := ""; ; {
		ids, next, err := r.page(ctx, after)
		if err != nil {
			return err
		}
		fn(ids)
		if next == "" {
			return nil
		}
		if next == after {
			return errors.New("the list of user IDs does not move on")
		}
		after = next
	}
}

func (r *Remote) page(ctx context.Context, after string) (ids []string, next string, err error) {
	query := url.Values{"limit": {strconv.Itoa(holderPage)}}
	if after != "" {
		query.Set("after", after)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.BaseURL, "/")+"/v1/identity/user-ids?"+query.Encode(), nil)
	if err != nil {
		return nil, "", fmt.Errorf("make the request: %w", err)
	}
	resp, err := r.HTTPClient.Do(req)
	if err != nil {
		// The error of net/http quotes the URL, and with it the last ID.
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, "", fmt.Errorf("read user IDs: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("read user IDs: status %d", resp.StatusCode)
	}
	var page userids.Page
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxHolderAnswer)).Decode(&page); err != nil || page.UserIDs == nil {
		return nil, "", errors.New("read user IDs: not the JSON that was promised")
	}
	for _, encoded := range page.UserIDs {
		id, err := userids.Decode(encoded)
		if err != nil || identity.CheckUserID(id) != nil {
			return nil, "", errors.New("read user IDs: one is not a user ID in base64url")
		}
		ids = append(ids, id)
	}
	return ids, page.Next, nil
}

// Own are the user IDs in the relay's own rows.
type Own struct{ Pool *pgxpool.Pool }

// Name is the relay's.
func (o Own) Name() string { return "identity-relay" }

// Each reads the IDs of users who were not erased.
func (o Own) Each(ctx context.Context, fn func([]string)) error {
	for after := ""; ; {
		rows, err := o.Pool.Query(ctx, `SELECT DISTINCT user_id FROM events
			WHERE user_id > $1 AND user_id NOT LIKE 'erased:%' ORDER BY user_id LIMIT $2`, after, holderPage)
		if err != nil {
			return fmt.Errorf("read own user IDs: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("read own user IDs: %w", err)
		}
		fn(ids)
		if len(ids) < holderPage {
			return nil
		}
		after = ids[len(ids)-1]
	}
}
