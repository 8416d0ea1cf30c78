package kit_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
)

type place struct {
	SKU string `json:"sku"`
	Key string `json:"-"`
}

func (p *place) Bind(r *http.Request) error {
	p.Key = r.Header.Get("Idempotency-Key")
	return nil
}

func (p *place) Validate() error {
	if p.SKU == "" {
		return problem.ErrInvalidRequest.Becausef("no sku")
	}
	return nil
}

func TestJSON_IsStrict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, contentType string
		want              error
	}{
		"good":           {`{"sku":"a"}`, "application/json; charset=utf-8", nil},
		"unknown member": {`{"sku":"a","x":1}`, "application/json", problem.ErrInvalidRequest},
		"member twice":   {`{"sku":"a","sku":"b"}`, "application/json", problem.ErrInvalidRequest},
		"other case":     {`{"SKU":"a"}`, "application/json", problem.ErrInvalidRequest},
		"data behind":    {`{"sku":"a"} {}`, "application/json", problem.ErrInvalidRequest},
		"not JSON":       {`sku=a`, "application/json", problem.ErrInvalidRequest},
		"form":           {`sku=a`, "application/x-www-form-urlencoded", problem.ErrMediaType},
		"not valid":      {`{"sku":""}`, "application/json", problem.ErrInvalidRequest},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.contentType)
		r.Header.Set("Idempotency-Key", "k")
		got, err := kit.JSON[place](r)
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, place{SKU: "a", Key: "k"}, got)
	}
}

func TestJSON_NamesABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"sku":"`+strings.Repeat("a", 100)+`"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 50)
	_, err := kit.JSON[place](r)
	require.ErrorIs(t, err, problem.ErrBodyTooLarge)
}

func TestJSON_KeepsTheBodyOutOfTheLog(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"unknown member": `{"alice@example.com":1}`,
		"member twice":   `{"sku":"a","sku":"alice@example.com"}`,
		"other type":     `{"sku":{"alice@example.com":1}}`,
		"other shape":    `"alice@example.com"`,
		"not JSON":       `alice@example.com`,
		"cut off":        `{"sku":"alice@example.com`,
		"data behind":    `{"sku":"a"} "alice@example.com"`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		_, err := kit.JSON[place](r)
		require.ErrorIs(t, err, problem.ErrInvalidRequest, name)
		require.NotContains(t, err.Error(), "alice", name)
		require.Contains(t, err.Error(), "the body", name)
	}
}
