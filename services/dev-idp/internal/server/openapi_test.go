package server_test

import (
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
)

// TestEveryDocumentedRouteIsServed asks each without anything that it needs: it
// must refuse or answer with a status that the document names.
func TestEveryDocumentedRouteIsServed(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromFile("../../openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, document.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()))
	i := start(t, mode.Promised)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			got := i.browser().do(method, path, "application/json", "{}", nil)
			require.NotNil(t, operation.Responses.Status(got.status), "%s %s answered %d: %s", method, path, got.status, got.body)
			refused := i.browser().do(http.MethodPatch, path, "", "", nil)
			require.Equal(t, http.StatusMethodNotAllowed, refused.status, path)
			require.Empty(t, refused.body)
		}
	}
}
