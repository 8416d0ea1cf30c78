package clients

import (
	"bytes"
	"sync"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// registrations remembers what the stored registrations say. Each request reads
// its client's from the database anyway, so nothing here can be out of date; it
// only spares decoding the same bytes again. It has one entry a client.
type registrations struct{ known sync.Map }

type registration struct {
	encoded []byte
	spec    api.ClientSpec // shared by requests: nobody may change what it points to
}

// decode does what Client.Decode does.
func (r *registrations) decode(c *Client) error {
	if known, ok := r.known.Load(c.ID); ok && c.Encoded != nil {
		if same, ok := known.(registration); ok && bytes.Equal(same.encoded, c.Encoded) {
			c.ClientSpec, c.Encoded = same.spec, nil
			return nil
		}
	}
	encoded := c.Encoded
	if err := c.Decode(); err != nil {
		return err
	}
	if encoded != nil {
		r.known.Store(c.ID, registration{encoded, c.ClientSpec})
	}
	return nil
}
