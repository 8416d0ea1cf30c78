// Package failures puts this module and its peers into the same trouble and
// prints what becomes of them. It is a test because it lives in a bubble of
// virtual time (testing/synctest), where days pass in no time.
//
//	go test -v ./failures
package failures

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// wires are the identity providers by host. The peers take no transport, or
// each in its own way, so that the process's default one leads to them all.
var wires sync.Map

type router struct{}

func (router) RoundTrip(r *http.Request) (*http.Response, error) {
	if w, ok := wires.Load(r.URL.Host); ok {
		return w.(*idp).serve(r)
	}
	return nil, fmt.Errorf("no such host: %s", r.URL.Host)
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	http.DefaultTransport = router{}
	m.Run()
}

type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

// idp is an identity provider without a network.
type idp struct {
	host string

	mu      sync.Mutex
	keys    []signingKey
	made    int
	raw     []byte // served instead of the keys
	extra   string // a further, illegal key
	down    bool
	hang    chan struct{} // requests wait for it, if not nil
	fetches int
}

const audience = "orders"

func newIDP(t *testing.T) *idp {
	i := &idp{host: rand.Text() + ".example"}
	i.rotate()
	wires.Store(i.host, i)
	t.Cleanup(func() { wires.Delete(i.host) })
	return i
}

func (i *idp) issuer() string  { return "https://" + i.host }
func (i *idp) jwksURL() string { return i.issuer() + "/jwks" }

func (i *idp) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *idp) rotate() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	i.set(func() {
		i.made++
		i.keys = append(i.keys, signingKey{fmt.Sprint("key-", i.made), private})
	})
}

func (i *idp) signer() signingKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

func (i *idp) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (k signingKey) jwk() string {
	point, err := k.private.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":%q,"x":%q,"y":%q}`, k.id, b64(point[1:33]), b64(point[33:]))
}

// usualLatency of the identity provider.
const usualLatency = 5 * time.Millisecond

var latency = func() *atomic.Int64 {
	var l atomic.Int64
	l.Store(int64(usualLatency))
	return &l
}()

func (i *idp) serve(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.fetches++
	down, hang, body := i.down, i.hang, i.raw
	if body == nil {
		var b bytes.Buffer
		b.WriteString(`{"keys":[`)
		for n, k := range i.keys {
			if n > 0 {
				b.WriteByte(',')
			}
			b.WriteString(k.jwk())
		}
		if i.extra != "" {
			b.WriteString("," + i.extra)
		}
		b.WriteString(`]}`)
		body = b.Bytes()
	}
	i.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	time.Sleep(time.Duration(latency.Load()))
	if down {
		return nil, errors.New("connection refused")
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: header, Request: r, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}, nil
}

// token is an honest token of the bubble's present time.
func (i *idp) token() string { return i.signedBy(i.signer(), i.signer().id) }

func (i *idp) signedBy(k signingKey, kid string) string {
	now := time.Now().Unix()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": i.issuer(), "sub": "alice", "aud": audience, "iat": now, "exp": now + 300, "jti": rand.Text(), "kind": "user", "client_id": "console",
	})
	t.Header["kid"], t.Header["typ"] = kid, "at+jwt"
	s, err := t.SignedString(k.private)
	if err != nil {
		panic(err)
	}
	return s
}

// badSignature is a token with a known kid and a signature that does not verify.
func (i *idp) badSignature() string {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return i.signedBy(signingKey{private: stranger}, i.signer().id)
}

// try verifies with a deadline, as a request has one.
func try(c contender, token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.verify(ctx, token)
}
