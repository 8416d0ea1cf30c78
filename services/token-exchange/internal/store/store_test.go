package store_test

import (
	"testing"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

func database(t *testing.T) *identitytest.Database {
	t.Helper()
	return identitytest.Postgres(t, store.Sets()...)
}
