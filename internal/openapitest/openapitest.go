// Package openapitest holds a service to its OpenAPI document: an HTTP client
// that checks every answer, and every request that was accepted, against it.
package openapitest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sort"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/shadowless/shadowless/internal/access"
)

// Document is a service's OpenAPI document.
type Document struct {
	doc    *openapi3.T
	router routers.Router
}

// Load reads and validates the document.
func Load(t testing.TB, file string) *Document {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatalf("load %s: %v", file, err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("%s is not valid: %v", file, err)
	}
	doc.Servers = nil // the tests serve elsewhere
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatalf("route %s: %v", file, err)
	}
	return &Document{doc: doc, router: router}
}

// RequireRoutes fails unless the document and the access table have the same routes.
func (d *Document) RequireRoutes(t testing.TB, table access.Table) {
	t.Helper()
	var documented, served []string
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, route := range table.Routes {
		served = append(served, route.Pattern)
	}
	sort.Strings(documented)
	sort.Strings(served)
	if got, want := strings.Join(documented, "\n"), strings.Join(served, "\n"); got != want {
		t.Fatalf("the document has\n%s\nand the access table has\n%s", got, want)
	}
}

// Client reports a failure of t for each answer that the document does not
// allow, and for each accepted request that it does not describe.
func (d *Document) Client(t testing.TB) *http.Client {
	t.Helper()
	base := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the documented type
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: &checked{t: t, document: d, base: base}}
}

type checked struct {
	t        testing.TB
	document *Document
	base     http.RoundTripper
}

var options = &openapi3filter.Options{
	IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
}

// RoundTrip implements http.RoundTripper.
func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	c.check(r, sent, resp, got)
	return resp, nil
}

func (c *checked) check(r *http.Request, sent []byte, resp *http.Response, got []byte) {
	c.t.Helper()
	route, params, err := c.document.router.FindRoute(r)
	if err != nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			c.t.Errorf("%s %s answered %d and is not in the document: %v", r.Method, r.URL.Path, resp.StatusCode, err)
		}
		return
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	in := &openapi3filter.RequestValidationInput{Request: again, PathParams: params, Route: route, Options: options}
	if resp.StatusCode < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			c.t.Errorf("%s %s was accepted and the document does not allow it: %v", r.Method, r.URL.Path, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(got)), Options: options,
	}
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		c.t.Errorf("%s %s answered %d %s, against the document: %v", r.Method, r.URL.Path, resp.StatusCode, got, err)
	}
}
