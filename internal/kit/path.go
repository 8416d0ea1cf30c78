package kit

import (
	"net/http"

	"github.com/google/uuid"
)

// PathID reads {id}, a UUID in its one canonical form. What is none names nothing:
// the error is notFound.
func PathID(r *http.Request, notFound error) (uuid.UUID, error) {
	raw := r.PathValue("id")
	id, err := uuid.Parse(raw)
	if err != nil || id.String() != raw {
		return uuid.Nil, notFound
	}
	return id, nil
}
