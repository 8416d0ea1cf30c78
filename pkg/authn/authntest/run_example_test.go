package authntest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// exampleT stands for the *testing.T that an example has not.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                        {}
func (t *exampleT) Cleanup(f func())               { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Context() context.Context       { return context.Background() }
func (t *exampleT) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func runExample(test func(testing.TB)) {
	t := &exampleT{}
	test(t)
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}
