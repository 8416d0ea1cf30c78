package directory

import (
	"context"
	"errors"
)

// ErrEmailNotPermitted is returned by a look-up that asks for e-mail addresses
// on behalf of a caller who may not see them.
var ErrEmailNotPermitted = errors.New("the caller may not see e-mail addresses")

// Profile is display data of one user.
type Profile struct {
	// Name is what to show, at most 256 bytes without control characters. It is
	// empty for an erased user.
	Name string
	// AvatarURL is the http or https address of a picture, or empty.
	AvatarURL string
	// Email is set only by a look-up [WithEmail].
	Email string
	// Erased is true for a user who was deleted; show them as such.
	Erased bool
}

// Directory looks up display data.
type Directory interface {
	// Lookup returns the profiles of the users among ids that the directory
	// knows. An unknown ID is absent from the result and is not an error. A page
	// that can be shown without names should be shown without names on error.
	Lookup(ctx context.Context, ids []string, options ...Option) (map[string]Profile, error)
}

// Option changes one look-up.
type Option func(*query)

type query struct{ email bool }

// WithEmail asks for e-mail addresses too. It is refused with
// [ErrEmailNotPermitted] unless the client was told that the caller may see
// them. Addresses are never cached.
func WithEmail() Option { return func(q *query) { q.email = true } }
