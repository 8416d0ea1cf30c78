// Package scim reads users from an identity provider by SCIM 2.0 (RFC 7643 and
// RFC 7644), page after page by index, or by cursor (RFC 9865) where the
// provider offers that. Of what it is told it keeps the ID and whether the user
// is active, nothing else.
package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

const (
	pageSize  = 500
	mediaType = "application/scim+json"
	maxBearer = 16 << 10

	listSchema  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// Attributes that may hold the ID that tokens carry as `sub`.
const (
	AttributeID         = "id"
	AttributeExternalID = "externalId"
	AttributeUserName   = "userName"
)

// Attributes lists them.
var Attributes = []string{AttributeID, AttributeExternalID, AttributeUserName}

// Config of a client.
type Config struct {
	// BaseURL is what /Users follows.
	BaseURL string
	// BearerFile holds the access token. It is read for every request, so a
	// token that was renewed is used at once.
	BearerFile string
	// UserID is the attribute that holds the ID; one of Attributes.
	UserID     string
	HTTPClient *http.Client
	// PerSecond limits the requests.
	PerSecond float64
}

// Client is safe for concurrent use.
type Client struct {
	config Config
	caller *userlist.Caller
}

// New reaches for nothing yet.
func New(config Config) *Client {
	config.BaseURL = strings.TrimSuffix(config.BaseURL, "/")
	return &Client{config: config, caller: userlist.NewCaller(config.HTTPClient, config.PerSecond)}
}

// Lookup asks about one user. found is false only after an answer in SCIM: the
// error document of a 404, or a list without a match. A 404 of anything that
// stands before the provider is an error.
func (c *Client) Lookup(ctx context.Context, userID string) (u userlist.User, found bool, err error) {
	// "." and ".." are legal IDs and cannot be a path's segment.
	if c.config.UserID != AttributeID || userID == "." || userID == ".." {
		return c.search(ctx, userID)
	}
	status, body, err := c.get(ctx, "/Users/"+url.PathEscape(userID)+"?attributes=id,active")
	if err != nil {
		return userlist.User{}, false, fmt.Errorf("look up a user: %w", err)
	}
	if status == http.StatusNotFound && isNotFound(body) {
		return userlist.User{}, false, nil
	}
	var r resource
	if status != http.StatusOK || json.Unmarshal(body, &r) != nil || r.ID != userID {
		return userlist.User{}, false, fmt.Errorf("look up a user: %w: status %d", userlist.ErrAnswer, status)
	}
	u, err = c.user(r)
	return u, err == nil, err
}

func (c *Client) search(ctx context.Context, userID string) (u userlist.User, found bool, err error) {
	// RFC 7644, section 3.4.2.2: a value is a JSON string.
	quoted, err := json.Marshal(userID)
	if err != nil {
		return u, false, fmt.Errorf("quote an ID: %w", err)
	}
	query := url.Values{
		"filter": {c.config.UserID + " eq " + string(quoted)}, "attributes": {c.attributes()}, "startIndex": {"1"}, "count": {"2"},
	}
	page, err := c.page(ctx, query)
	switch {
	case err != nil:
		return u, false, fmt.Errorf("look up a user: %w", err)
	case page.TotalResults == nil || *page.TotalResults != len(page.Resources) || len(page.Resources) > 1:
		return u, false, fmt.Errorf("look up a user: %w: not a list of one or none", userlist.ErrAnswer)
	case len(page.Resources) == 0:
		return u, false, nil
	}
	u, err = c.user(page.Resources[0])
	if err == nil && u.ID != userID {
		err = fmt.Errorf("look up a user: %w: it is another one", userlist.ErrAnswer)
	}
	return u, err == nil, err
}

func isNotFound(body []byte) bool {
	var answer struct {
		Schemas []string `json:"schemas"`
		Status  any      `json:"status"` // a string by the standard, a number with some
	}
	return json.Unmarshal(body, &answer) == nil && slices.Contains(answer.Schemas, errorSchema) && fmt.Sprint(answer.Status) == "404"
}

// resource is what is read of a user.
type resource struct {
	ID         string          `json:"id"`
	ExternalID string          `json:"externalId"`
	UserName   string          `json:"userName"`
	Active     json.RawMessage `json:"active"`
}

func (c *Client) user(r resource) (userlist.User, error) {
	id := r.ID
	switch c.config.UserID {
	case AttributeExternalID:
		id = r.ExternalID
	case AttributeUserName:
		id = r.UserName
	}
	if identity.CheckUserID(id) != nil {
		return userlist.User{}, fmt.Errorf("%w: a user without a usable ID", userlist.ErrAnswer)
	}
	// A provider need not support `active`. Some send it as a string.
	switch strings.ToLower(strings.Trim(string(r.Active), `"`)) {
	case "", "null", "true":
		return userlist.User{ID: id}, nil
	case "false":
		return userlist.User{ID: id, Banned: true}, nil
	}
	return userlist.User{}, fmt.Errorf("%w: a user whose active is no boolean", userlist.ErrAnswer)
}

func (c *Client) attributes() string {
	if c.config.UserID == AttributeID {
		return "id,active"
	}
	return "id," + c.config.UserID + ",active"
}

// get asks with the bearer and waits where it is told to slow down.
func (c *Client) get(ctx context.Context, path string) (status int, body []byte, err error) {
	for attempt := 1; ; attempt++ {
		bearer, err := readBearer(c.config.BearerFile)
		if err != nil {
			return 0, nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.BaseURL+path, nil)
		if err != nil {
			return 0, nil, errors.New("make the request: the URL is not valid") // the cause would quote it
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
		req.Header.Set("Accept", mediaType+", application/json")
		resp, body, err := c.caller.Do(req) //nolint:bodyclose // Do has closed it
		if err != nil {
			return 0, nil, err
		}
		if resp.StatusCode == http.StatusTooManyRequests && attempt < userlist.Attempts {
			if err := userlist.Pause(ctx, resp.Header.Get("Retry-After")); err != nil {
				return 0, nil, err
			}
			continue
		}
		return resp.StatusCode, body, nil
	}
}

func readBearer(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the bearer: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	raw, err := io.ReadAll(io.LimitReader(f, maxBearer))
	if err != nil {
		return "", fmt.Errorf("read the bearer: %w", err)
	}
	bearer := strings.TrimSpace(string(raw))
	if bearer == "" || strings.ContainsAny(bearer, " \t\r\n") {
		return "", errors.New("read the bearer: the file must hold one token")
	}
	return bearer, nil
}
