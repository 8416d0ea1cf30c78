//go:build long

package harness

import "testing"

func TestRun_MeasuresEveryScenario(t *testing.T) {
	t.Parallel()
	measured(t, tiny())
}
