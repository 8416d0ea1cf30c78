package clients

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestRegistrations_FollowWhatIsStored(t *testing.T) {
	t.Parallel()
	var r registrations
	read := func(id, encoded string) *Client {
		c := &Client{Encoded: []byte(encoded)}
		c.ID = id
		require.NoError(t, r.decode(c))
		require.Nil(t, c.Encoded)
		require.Equal(t, id, c.ID)
		return c
	}
	for range 2 {
		require.Contains(t, read("a", `{"audiences":{"orders":{}}}`).Audiences, "orders")
		require.Contains(t, read("b", `{"audiences":{"billing":{}}}`).Audiences, "billing")
	}
	changed := read("a", `{"plan":"x"}`)
	require.Equal(t, api.ClientSpec{ID: "a", Plan: "x"}, changed.ClientSpec, "nothing of the old one is left")

	broken := &Client{Encoded: []byte(`{`)}
	broken.ID = "a"
	require.Error(t, r.decode(broken))
	require.Equal(t, "x", read("a", `{"plan":"x"}`).Plan)
}
