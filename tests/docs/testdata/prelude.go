// Package prelude is what snippets of the documentation take for granted.
package prelude

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/pkg/identity/subscriber"
)

var (
	ctx          context.Context
	t            *testing.T
	err          error
	r            *http.Request
	w            http.ResponseWriter
	addr, path   string
	userID       string
	handler      http.Handler
	list         *authn.RevocationList
	principal    *authn.Principal
	pool         *pgxpool.Pool
	tx           pgx.Tx
	js           jetstream.JetStream
	manifestYAML []byte
	hide, show   func(context.Context, pgx.Tx, identity.Event) error

	_ = errors.New
	_ = time.Now
	_ = authntest.NewIssuer
	_ = identity.CheckUserID
	_ mailbox.Guard
	_ participant.Config
)
