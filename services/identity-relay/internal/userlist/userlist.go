// Package userlist is what an identity provider's list of users is to the relay,
// whatever protocol it speaks.
package userlist

import (
	"context"
	"errors"
	"strings"

	"github.com/shadowless/shadowless/pkg/identity"
)

// User is what is kept of a user: no name, no e-mail address.
type User struct {
	ID     string
	Banned bool
}

// Source reads an identity provider's users.
type Source interface {
	// Each reads the whole list; an error means that it is not complete.
	Each(ctx context.Context, fn func([]User) error) error
	// Lookup asks about one; found is false only if the provider said in its
	// own protocol that there is no such user.
	Lookup(ctx context.Context, userID string) (u User, found bool, err error)
}

// ErrIncomplete is returned by Each for a list that ends before its total.
var ErrIncomplete = errors.New("the list of users ended early")

// ErrAnswer is returned for an answer that is neither what was asked for nor a
// plain "not found": it says nothing about any user.
var ErrAnswer = errors.New("unexpected answer of the identity provider")

// ErrForeign is returned by Lookup for a user of another issuer.
var ErrForeign = errors.New("the user is not one of this list's issuer")

// Namespaced makes user IDs of the provider's: authn's user_namespace comes
// before each. Without a namespace the two are the same.
type Namespaced struct {
	Source    Source
	Namespace string
}

// Each reads the list.
func (n Namespaced) Each(ctx context.Context, fn func([]User) error) error {
	if n.Namespace == "" {
		return n.Source.Each(ctx, fn)
	}
	return n.Source.Each(ctx, func(users []User) error {
		named := make([]User, len(users))
		for i, u := range users {
			named[i] = User{ID: n.Namespace + u.ID, Banned: u.Banned}
			if identity.CheckUserID(named[i].ID) != nil {
				return ErrAnswer
			}
		}
		return fn(named)
	})
}

// Lookup never asks about a user of another issuer: that they are not in this
// list says nothing.
func (n Namespaced) Lookup(ctx context.Context, userID string) (u User, found bool, err error) {
	own, ours := strings.CutPrefix(userID, n.Namespace)
	if !ours || own == "" {
		return User{}, false, ErrForeign
	}
	u, found, err = n.Source.Lookup(ctx, own)
	u.ID = userID
	return u, found, err
}
