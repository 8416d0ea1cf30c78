package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowless/shadowless/internal/service"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// TestMain is the commands themselves where the test binary goes by their names,
// so that scripts run what was just compiled.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "shadowless":
		main()
	case "token-exchange":
		service.Main(tokenexchange.Name, tokenexchange.Prefix, tokenexchange.Run)
	default:
		identitytest.Main(m)
	}
}
