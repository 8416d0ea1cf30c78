// Package httpclient makes the client that services call each other with: the
// mesh's certificates, a deadline, trace context, and no redirects (a redirect
// would carry a token to a host that nobody chose).
package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

const (
	timeout             = 10 * time.Second
	idleConnTimeout     = 60 * time.Second
	maxIdleConnsPerHost = 32
)

// New trusts the system's roots and, where caFile is set, those in it.
func New(caFile string) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read CA_FILE: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("CA_FILE holds no certificate")
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the documented type
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = maxIdleConnsPerHost
	transport.IdleConnTimeout = idleConnTimeout
	return &http.Client{
		Timeout:       timeout,
		Transport:     otelhttp.NewTransport(addressOnly{transport}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// addressOnly keeps paths and queries out of the span, because they may hold
// user IDs. The span of the server that answers has the route.
type addressOnly struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t addressOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	trace.SpanFromContext(r.Context()).SetAttributes(attribute.String("url.full", r.URL.Scheme+"://"+r.URL.Host))
	return t.next.RoundTrip(r)
}
