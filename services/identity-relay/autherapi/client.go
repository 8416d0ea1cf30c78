// Package autherapi reads users from Auther as an administrator: its list of
// users and single users. Of what it is told the relay's Client keeps the ID and
// whether the user is banned, nothing else; who keeps more says so with Each and
// Lookup, as the archetype in compare/ does.
package autherapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

const (
	maxCredential = 4 << 10
	pageSize      = 500
)

// Config of a client.
type Config struct {
	BaseURL string
	// CredentialFile holds the administrator's {"email","password"}; it is read
	// again at each sign-in.
	CredentialFile string
	HTTPClient     *http.Client
	// PerSecond limits the requests.
	PerSecond float64
	Now       func() time.Time
}

// Client keeps one administrator's session and renews it. It is safe for
// concurrent use.
type Client struct {
	config Config
	caller *userlist.Caller

	mu      sync.Mutex
	session string // the Cookie header; empty: not signed in
}

// New reaches for nothing yet.
func New(config Config) *Client {
	config.BaseURL = strings.TrimSuffix(config.BaseURL, "/")
	return &Client{config: config, caller: userlist.NewCaller(config.HTTPClient, config.PerSecond)}
}

type wireUser struct {
	ID         string     `json:"id"`
	Banned     *bool      `json:"banned"`
	BanExpires *time.Time `json:"banExpires"`
}

func (c *Client) user(u wireUser) (userlist.User, error) {
	if identity.CheckUserID(u.ID) != nil {
		return userlist.User{}, fmt.Errorf("%w: a user without a usable ID", ErrAnswer)
	}
	banned := u.Banned != nil && *u.Banned && (u.BanExpires == nil || u.BanExpires.After(c.config.Now()))
	return userlist.User{ID: u.ID, Banned: banned}, nil
}

// Each reads the whole list, page after page.
func (c *Client) Each(ctx context.Context, fn func([]userlist.User) error) error {
	return Each(ctx, c, func(page []wireUser) (err error) {
		users := make([]userlist.User, len(page))
		for i, u := range page {
			if users[i], err = c.user(u); err != nil {
				return fmt.Errorf("list users: %w", err)
			}
		}
		return fn(users)
	})
}

// Lookup asks about one user. found is false only after the answer 404
// USER_NOT_FOUND; everything else that is not the user is an error.
func (c *Client) Lookup(ctx context.Context, userID string) (u userlist.User, found bool, err error) {
	wire, found, err := Lookup[wireUser](ctx, c, userID)
	if err != nil || !found {
		return userlist.User{}, false, err
	}
	u, err = c.user(wire)
	return u, err == nil, err
}

var (
	// ErrAnswer is returned for an answer that is neither what was asked for nor a
	// plain "not found": it says nothing about any user.
	ErrAnswer = userlist.ErrAnswer
	// ErrIncomplete is returned by Each for a list that ends before its total.
	ErrIncomplete = userlist.ErrIncomplete
)

// Each reads the whole list, page after page. U is what is kept of a user.
func Each[U any](ctx context.Context, c *Client, fn func([]U) error) error {
	for offset := 0; ; {
		query := url.Values{
			"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)},
			"sortBy": {"createdAt"}, "sortDirection": {"asc"}, // new users come last and shift nobody
		}
		var page struct {
			Users []U  `json:"users"`
			Total *int `json:"total"`
		}
		status, err := c.get(ctx, "/api/auth/admin/list-users?"+query.Encode(), &page)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		if status != http.StatusOK || page.Total == nil || page.Users == nil {
			return fmt.Errorf("list users: %w: status %d", ErrAnswer, status)
		}
		if err := fn(page.Users); err != nil {
			return err
		}
		offset += len(page.Users)
		switch {
		case offset >= *page.Total:
			return nil
		case len(page.Users) == 0:
			return fmt.Errorf("list users: %w: %d of %d", ErrIncomplete, offset, *page.Total)
		}
	}
}

// Lookup asks about one user. found is false only after the answer 404
// USER_NOT_FOUND; everything else that is not the user is an error.
func Lookup[U any](ctx context.Context, c *Client, userID string) (u U, found bool, err error) {
	var raw json.RawMessage
	status, err := c.get(ctx, "/api/auth/admin/get-user?"+url.Values{"id": {userID}}.Encode(), &raw)
	if err != nil {
		return u, false, fmt.Errorf("look up a user: %w", err)
	}
	var answer struct{ ID, Code string }
	_ = json.Unmarshal(raw, &answer) // what is no object has neither
	switch {
	case status == http.StatusNotFound && answer.Code == "USER_NOT_FOUND":
		return u, false, nil
	case status != http.StatusOK || answer.ID != userID || json.Unmarshal(raw, &u) != nil:
		return u, false, fmt.Errorf("look up a user: %w: status %d", ErrAnswer, status)
	}
	return u, true, nil
}

// get asks with the session, signs in where that is needed, and waits where it
// is told to slow down.
func (c *Client) get(ctx context.Context, path string, into any) (status int, err error) {
	renewed := false
	for attempt := 1; ; attempt++ {
		session, err := c.signedIn(ctx)
		if err != nil {
			return 0, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.BaseURL+path, nil)
		if err != nil {
			return 0, fmt.Errorf("make the request: %w", err)
		}
		req.Header.Set("Cookie", session)
		resp, body, err := c.caller.Do(req) //nolint:bodyclose // Do has closed it
		if err != nil {
			return 0, err
		}
		switch {
		case resp.StatusCode == http.StatusUnauthorized && !renewed:
			renewed = true
			c.forget(session)
			continue
		case resp.StatusCode == http.StatusTooManyRequests && attempt < userlist.Attempts:
			if err := userlist.Pause(ctx, resp.Header.Get("X-Retry-After")); err != nil {
				return 0, err
			}
			continue
		}
		if len(body) > 0 && json.Unmarshal(body, into) != nil && resp.StatusCode == http.StatusOK {
			return 0, fmt.Errorf("%w: not the JSON that was promised", ErrAnswer)
		}
		return resp.StatusCode, nil
	}
}

func (c *Client) signedIn(ctx context.Context) (session string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != "" {
		return c.session, nil
	}
	if c.session, err = c.signIn(ctx); err != nil {
		return "", fmt.Errorf("sign in as administrator: %w", err)
	}
	return c.session, nil
}

// forget drops a session that was refused, unless somebody has renewed it.
func (c *Client) forget(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == session {
		c.session = ""
	}
}

func (c *Client) signIn(ctx context.Context) (session string, err error) {
	credential, err := readCredential(c.config.CredentialFile)
	if err != nil {
		return "", err
	}
	for attempt := 1; ; attempt++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.BaseURL+"/api/auth/sign-in/email", bytes.NewReader(credential))
		if err != nil {
			return "", fmt.Errorf("make the request: %w", err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", c.config.BaseURL)
		resp, _, err := c.caller.Do(req) //nolint:bodyclose // Do has closed it
		if err != nil {
			return "", err
		}
		if resp.StatusCode == http.StatusTooManyRequests && attempt < userlist.Attempts {
			if err := userlist.Pause(ctx, resp.Header.Get("X-Retry-After")); err != nil {
				return "", err
			}
			continue
		}
		var cookies []string
		for _, cookie := range resp.Cookies() {
			if cookie.MaxAge >= 0 && cookie.Value != "" {
				cookies = append(cookies, cookie.Name+"="+cookie.Value)
			}
		}
		if resp.StatusCode != http.StatusOK || len(cookies) == 0 {
			return "", fmt.Errorf("%w: status %d", ErrAnswer, resp.StatusCode)
		}
		return strings.Join(cookies, "; "), nil
	}
}

func readCredential(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	raw, err := io.ReadAll(io.LimitReader(f, maxCredential))
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	var credential struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	// The parser's error would quote the file.
	if json.Unmarshal(raw, &credential) != nil || credential.Email == "" || credential.Password == "" {
		return nil, errors.New(`read the credential: the file must hold {"email","password"}`)
	}
	return json.Marshal(credential) //nolint:gosec // the password is what the sign-in sends
}
