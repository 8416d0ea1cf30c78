package users

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/config"
)

const (
	listPage  = 500
	maxAnswer = 8 << 20 // bytes; a page of 500 users has about 200 KB
)

// ErrAnswer is an answer of the provider that says nothing about any user.
var ErrAnswer = errors.New("unexpected answer of the identity provider")

// AutherList reads Auther's users as an administrator. One run at a time may use it.
type AutherList struct {
	url, credentialFile string
	client              *http.Client
	session             string // the Cookie header
}

// NewAutherList reaches for nothing yet. The file holds the administrator's
// {"email","password"}.
func NewAutherList(baseURL, credentialFile string, client *http.Client) *AutherList {
	return &AutherList{url: strings.TrimSuffix(baseURL, "/"), credentialFile: credentialFile, client: client}
}

type wireUser struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Email      string     `json:"email"`
	Image      *string    `json:"image"`
	Banned     *bool      `json:"banned"`
	BanExpires *time.Time `json:"banExpires"`
	UpdatedAt  time.Time  `json:"updatedAt"`
}

func (u wireUser) profile() Profile {
	banned := u.Banned != nil && *u.Banned && (u.BanExpires == nil || u.BanExpires.After(time.Now()))
	image := ""
	if u.Image != nil {
		image = *u.Image
	}
	return Profile{ID: u.ID, Name: &u.Name, Email: &u.Email, AvatarURL: &image, Banned: &banned, UpdatedAt: u.UpdatedAt}
}

// Each implements Source. New users come last and shift nobody.
func (l *AutherList) Each(ctx context.Context, fn func([]Profile) error) error {
	for offset := 0; ; {
		var page struct {
			Users []wireUser `json:"users"`
			Total *int       `json:"total"`
		}
		query := url.Values{"limit": {strconv.Itoa(listPage)}, "offset": {strconv.Itoa(offset)}, "sortBy": {"createdAt"}, "sortDirection": {"asc"}}
		status, err := l.get(ctx, "/api/auth/admin/list-users?"+query.Encode(), &page)
		if err != nil {
			return err
		}
		if status != http.StatusOK || page.Total == nil || page.Users == nil {
			return fmt.Errorf("%w: status %d", ErrAnswer, status)
		}
		profiles := make([]Profile, len(page.Users))
		for n, u := range page.Users {
			profiles[n] = u.profile()
		}
		if err := fn(profiles); err != nil {
			return err
		}
		if offset += len(page.Users); offset >= *page.Total {
			return nil
		}
		if len(page.Users) == 0 {
			return fmt.Errorf("%w: %d of %d users", ErrAnswer, offset, *page.Total)
		}
	}
}

// Lookup implements Source.
func (l *AutherList) Lookup(ctx context.Context, userID string) (Profile, bool, error) {
	var answer struct {
		wireUser
		Code string `json:"code"`
	}
	status, err := l.get(ctx, "/api/auth/admin/get-user?"+url.Values{"id": {userID}}.Encode(), &answer)
	switch {
	case err != nil:
		return Profile{}, false, err
	case status == http.StatusNotFound && answer.Code == "USER_NOT_FOUND":
		return Profile{}, false, nil
	case status != http.StatusOK || answer.ID != userID:
		return Profile{}, false, fmt.Errorf("%w: status %d", ErrAnswer, status)
	}
	return answer.profile(), true, nil
}

// get asks with the session, which it opens where there is none or it has ended.
func (l *AutherList) get(ctx context.Context, path string, into any) (status int, err error) {
	for range 2 {
		if l.session == "" {
			if err := l.signIn(ctx); err != nil {
				return 0, fmt.Errorf("sign in as administrator: %w", err)
			}
		}
		resp, body, err := l.do(ctx, http.MethodGet, path, nil) //nolint:bodyclose // do has closed it
		if err != nil {
			return 0, err
		}
		if status = resp.StatusCode; status == http.StatusUnauthorized {
			l.session = ""
			continue
		}
		if json.Unmarshal(body, into) != nil {
			return 0, fmt.Errorf("%w: no JSON, status %d", ErrAnswer, status)
		}
		return status, nil
	}
	return status, nil
}

func (l *AutherList) signIn(ctx context.Context) error {
	credential, err := config.ReadSecretFile(l.credentialFile)
	if err != nil {
		return err
	}
	resp, _, err := l.do(ctx, http.MethodPost, "/api/auth/sign-in/email", []byte(credential)) //nolint:bodyclose // do has closed it
	if err != nil {
		return err
	}
	var cookies []string
	for _, c := range resp.Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			cookies = append(cookies, c.Name+"="+c.Value)
		}
	}
	if resp.StatusCode != http.StatusOK || len(cookies) == 0 {
		return fmt.Errorf("%w: status %d", ErrAnswer, resp.StatusCode)
	}
	l.session = strings.Join(cookies, "; ")
	return nil
}

// do reads the whole answer. Its errors never quote the URL, which may hold an ID.
func (l *AutherList) do(ctx context.Context, method, path string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, errors.New("SHADOW_IDP_URL is no base of a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", l.url)
	req.Header.Set("Cookie", l.session)
	resp, err := l.client.Do(req) //nolint:gosec // the identity provider's URL is configuration
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, nil, fmt.Errorf("ask the identity provider: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("read the provider's answer: %w", err)
	}
	return resp, answer, nil
}
