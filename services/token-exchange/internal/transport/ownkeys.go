package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// OwnKeys is a transport that answers requests for the issuer's own key set from
// memory and sends all others on. Until Use is called and the keys are loaded,
// such a request waits: it would be in vain before.
type OwnKeys struct {
	url  string
	next http.RoundTripper
	used chan struct{}
	keys LoadedKeySet
}

// LoadedKeySet is a key set that says when it is there.
type LoadedKeySet interface {
	KeySet
	Loaded() <-chan struct{}
}

// NewOwnKeys makes it in front of next.
func NewOwnKeys(issuer string, next http.RoundTripper) *OwnKeys {
	return &OwnKeys{url: strings.TrimSuffix(issuer, "/") + JWKSPath, next: next, used: make(chan struct{})}
}

// Use names the keys. It must be called at most once.
func (o *OwnKeys) Use(keys LoadedKeySet) {
	o.keys = keys
	close(o.used)
}

// RoundTrip implements http.RoundTripper.
func (o *OwnKeys) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.URL.String() != o.url {
		return o.next.RoundTrip(r)
	}
	select {
	case <-o.used:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	select {
	case <-o.keys.Loaded():
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	set, ok := o.keys.KeySet()
	if !ok {
		return nil, errors.New("the own key set is not loaded")
	}
	return &http.Response{
		Status: http.StatusText(http.StatusOK), StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}, "Etag": {set.ETag}},
		Body:   io.NopCloser(bytes.NewReader(set.Document)), ContentLength: int64(len(set.Document)), Request: r,
	}, nil
}
