package authn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeaderMemo_KnowsOnlyWhatItWasGiven(t *testing.T) {
	t.Parallel()
	m := newHeaderMemo()
	header := func(kid string) string {
		return strict.EncodeToString([]byte(fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, kid)))
	}
	token := func(kid string) compactToken {
		c, err := parseCompactWith(m, header(kid)+"."+strict.EncodeToString([]byte(`{"iss":"a"}`))+".AAAA")
		require.NoError(t, err)
		return c
	}
	_, known := m.find(header("a"))
	require.False(t, known, "parsing alone teaches nothing: the signature is not checked yet")
	first := token("a")
	m.remember(first)
	again := token("a")
	require.True(t, again.headerKnown)
	require.Equal(t, first.header, again.header)
	require.Equal(t, first.payload, again.payload)
	require.Equal(t, first.signature, again.signature)
	require.False(t, token("b").headerKnown)
	_, known = m.find(strings.ToLower(header("a")))
	require.False(t, known)
	for n := range 100 { // no more than it has places for
		m.remember(token(fmt.Sprint("key-", n)))
	}
	kept := 0
	for n := range 100 {
		if c := token(fmt.Sprint("key-", n)); c.headerKnown {
			kept++
			require.Equal(t, fmt.Sprint("key-", n), c.header.KID)
		}
	}
	require.LessOrEqual(t, kept, len(m.known))
}
