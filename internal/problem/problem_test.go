package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/problem"
)

var errTaken = problem.New(http.StatusConflict, "taken", "Somebody was faster.")

func TestWrite_HidesTheCause(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"known":   fmt.Errorf("place: %w", errTaken.Because(errors.New("row 17 of secret"))),
		"unknown": errors.New("dial tcp secret"),
	} {
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), err)
		require.NotContains(t, w.Body.String(), "secret", name)
		require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
		var doc problem.Document
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
		require.Equal(t, w.Code, doc.Status)
	}
}

func TestError_IsItsSentinelAndItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := fmt.Errorf("layer: %w", errTaken.Because(cause).After(1500*time.Millisecond))
	require.ErrorIs(t, err, errTaken)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, problem.ErrForbidden)
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), err)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
}

func TestFrom_NamesABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, problem.From(fmt.Errorf("decode: %w", &http.MaxBytesError{Limit: 1})), problem.ErrBodyTooLarge)
}
