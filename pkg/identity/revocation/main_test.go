package revocation_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(identitytest.Stop(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
