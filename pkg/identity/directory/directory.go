package directory

import "context"

// Profile is display data of one user.
type Profile struct {
	// Name is what to show. It is empty for an erased user.
	Name string `json:"name"`
	// AvatarURL is the address of a picture, or empty.
	AvatarURL string `json:"avatar_url"`
	// Erased is true for a user whose data was erased; show them as such.
	Erased bool `json:"erased"`
}

// Directory looks up display data.
type Directory interface {
	// Lookup returns the profiles of the users among ids that the directory
	// knows. An unknown ID is absent from the result and is not an error. A page
	// that can be shown without names should be shown without names on error.
	Lookup(ctx context.Context, ids []string) (map[string]Profile, error)
}
