package users

import (
	"context"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/autherapi"
)

// requestsPerSecond is no limit for one reader of a list; the provider's own is heard.
const requestsPerSecond = 1000

// Errors of a list or look-up that says nothing about any user.
var (
	ErrAnswer     = autherapi.ErrAnswer
	ErrIncomplete = autherapi.ErrIncomplete
)

// AutherList reads Auther's users, with their profiles, as an administrator.
type AutherList struct{ client *autherapi.Client }

// NewAutherList reaches for nothing yet. The file holds the administrator's
// {"email","password"}.
func NewAutherList(baseURL, credentialFile string, client *http.Client) *AutherList {
	return &AutherList{autherapi.New(autherapi.Config{
		BaseURL: baseURL, CredentialFile: credentialFile, HTTPClient: client, PerSecond: requestsPerSecond, Now: time.Now,
	})}
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

// Each implements Source.
func (l *AutherList) Each(ctx context.Context, fn func([]Profile) error) error {
	return autherapi.Each(ctx, l.client, func(users []wireUser) error {
		profiles := make([]Profile, len(users))
		for n, u := range users {
			profiles[n] = u.profile()
		}
		return fn(profiles)
	})
}

// Lookup implements Source.
func (l *AutherList) Lookup(ctx context.Context, userID string) (Profile, bool, error) {
	u, found, err := autherapi.Lookup[wireUser](ctx, l.client, userID)
	if err != nil || !found {
		return Profile{}, false, err
	}
	return u.profile(), true, nil
}
