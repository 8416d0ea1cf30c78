package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
)

type sample struct {
	config.Common
	Limit time.Duration `env:"SAMPLE_LIMIT" envDefault:"1s" doc:"a limit"`
}

func (s sample) Faults() []error {
	return append(s.Common.Faults(), config.Positive("SAMPLE_LIMIT", s.Limit))
}

func TestLoad_ReportsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load[sample]("SAMPLE_", []string{
		"ENVIRONMENT=staging", "INSECURE_PLAIN_HTTP=true", "SAMPLE_LIMIT=-1s", "SAMPLE_LIMTI=2s", "LOG_LEVEL=loud", "CA_FILE=/does/not/exist",
	})
	var faults *config.FaultsError
	require.ErrorAs(t, err, &faults)
	for _, name := range []string{"ENVIRONMENT", "INSECURE_PLAIN_HTTP", "SAMPLE_LIMIT (-1s)", "SAMPLE_LIMTI", "LOG_LEVEL", "CA_FILE"} {
		require.ErrorContains(t, err, name)
	}
}

func TestLoad_AcceptsDevelopmentWithoutTLS(t *testing.T) {
	t.Parallel()
	c, err := config.Load[sample]("SAMPLE_", []string{"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true", "SAMPLE_SERVICE_HOST=10.0.0.1", "SAMPLE_PORT=tcp://x"})
	require.NoError(t, err)
	require.Equal(t, time.Second, c.Limit)
}

func TestVariables_AreNamedWithTheirDefaults(t *testing.T) {
	t.Parallel()
	for _, v := range config.Variables[sample]() {
		if v.Name == "SAMPLE_LIMIT" {
			require.Equal(t, "1s", v.Default)
			require.Equal(t, "a limit", v.Doc)
			return
		}
	}
	t.Fatal("SAMPLE_LIMIT is missing")
}

func TestLoad_NamesWhatItCannotReadOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load[sample]("SAMPLE_", []string{"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true", "SAMPLE_LIMIT=soon"})
	var faults *config.FaultsError
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults.Faults, 1)
	require.ErrorContains(t, faults.Faults[0], "SAMPLE_LIMIT: ")
}
