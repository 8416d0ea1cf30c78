package participant

import (
	"context"
	"strings"
)

// Erased tells which of the users this service has erased: by their tombstones,
// and by the pseudonyms that it put in their place. It is what a directory asks
// before it shows a name.
func (p *Participant) Erased(ctx context.Context, userIDs []string) (map[string]bool, error) {
	erased, err := p.tombstones.erased(ctx, p.config.Pool, userIDs)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool)
	for i, id := range userIDs {
		if erased[i] || strings.HasPrefix(id, pseudonymPrefix) {
			out[id] = true
		}
	}
	return out, nil
}
