package kit_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/kit"
)

func TestPathID(t *testing.T) {
	t.Parallel()
	const id = "0197f0d4-8a3e-7cc0-9d0b-3f1f4a1c2b3d"
	notFound := errors.New("not found")
	for raw, known := range map[string]bool{
		id: true, strings.ToUpper(id): false, "urn:uuid:" + id: false, "{" + id + "}": false, strings.ReplaceAll(id, "-", ""): false, "": false, "..": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetPathValue("id", raw)
		got, err := kit.PathID(r, notFound)
		if known {
			require.NoError(t, err)
			require.Equal(t, raw, got.String())
		} else {
			require.ErrorIs(t, err, notFound, raw)
		}
	}
}
