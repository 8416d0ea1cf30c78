// Package users keeps accounts: the one users table of the whole system.
package users

import (
	"errors"
	"strings"
	"time"

	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
)

// Errors of this package.
var (
	ErrNotFound      = errors.New("no such user")
	ErrEmailTaken    = errors.New("the e-mail address has an account")
	ErrUsernameTaken = errors.New("the username is taken")
)

// Roles of the identity provider itself.
const (
	RoleUser  = "user"
	RoleAdmin = "admin"
)

// User is one row.
type User struct {
	ID              string     `db:"id"`
	Name            string     `db:"name"`
	Email           string     `db:"email"`
	EmailVerified   bool       `db:"email_verified"`
	Image           *string    `db:"image"`
	Role            string     `db:"role"`
	Banned          bool       `db:"banned"`
	BanReason       *string    `db:"ban_reason"`
	BanExpires      *time.Time `db:"ban_expires"`
	Username        *string    `db:"username"`
	DisplayUsername *string    `db:"display_username"`
	PasswordHash    *string    `db:"password_hash"`
	ActiveTenant    string     `db:"active_tenant"`
	CreatedAt       time.Time  `db:"created_at"`
	UpdatedAt       time.Time  `db:"updated_at"`
}

// Summary is the short form that sign-up and sign-in answer with.
type Summary struct {
	ID            string     `json:"id"`
	Email         string     `json:"email"`
	Name          string     `json:"name"`
	Image         *string    `json:"image"`
	EmailVerified bool       `json:"emailVerified"`
	CreatedAt     reply.Time `json:"createdAt"`
	UpdatedAt     reply.Time `json:"updatedAt"`
}

// Full is the form that an administrator and get-session see.
type Full struct {
	Name            string      `json:"name"`
	Email           string      `json:"email"`
	EmailVerified   bool        `json:"emailVerified"`
	Image           *string     `json:"image"`
	CreatedAt       reply.Time  `json:"createdAt"`
	UpdatedAt       reply.Time  `json:"updatedAt"`
	Role            string      `json:"role"`
	Banned          bool        `json:"banned"`
	BanReason       *string     `json:"banReason"`
	BanExpires      *reply.Time `json:"banExpires"`
	Username        *string     `json:"username"`
	DisplayUsername *string     `json:"displayUsername"`
	ID              string      `json:"id"`
}

// Summary of the user.
func (u User) Summary() Summary {
	return Summary{
		ID: u.ID, Email: u.Email, Name: u.Name, Image: u.Image, EmailVerified: u.EmailVerified,
		CreatedAt: reply.Time(u.CreatedAt), UpdatedAt: reply.Time(u.UpdatedAt),
	}
}

// Full form of the user.
func (u User) Full() Full {
	full := Full{
		Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified, Image: u.Image,
		CreatedAt: reply.Time(u.CreatedAt), UpdatedAt: reply.Time(u.UpdatedAt),
		Role: u.Role, Banned: u.Banned, BanReason: u.BanReason,
		Username: u.Username, DisplayUsername: u.DisplayUsername, ID: u.ID,
	}
	if u.BanExpires != nil {
		expires := reply.Time(*u.BanExpires)
		full.BanExpires = &expires
	}
	return full
}

// BannedAt says whether a ban holds at the moment: one with an end lapses by itself.
func (u User) BannedAt(now time.Time) bool {
	return u.Banned && (u.BanExpires == nil || now.Before(*u.BanExpires))
}

// IsAdmin says whether the user administers the identity provider.
func (u User) IsAdmin() bool { return u.Role == RoleAdmin }

// GivenName is the first word of the name, FamilyName the rest.
func (u User) GivenName() string {
	given, _, _ := strings.Cut(u.Name, " ")
	return given
}

// FamilyName is what follows the first word of the name.
func (u User) FamilyName() string {
	_, family, _ := strings.Cut(u.Name, " ")
	return family
}
