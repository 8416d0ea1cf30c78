package gen_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/docs/gen"
	"github.com/shadowless/shadowless/pkg/authn"
)

func TestFiles_AreUpToDate(t *testing.T) {
	t.Parallel()
	for name, want := range gen.Files() {
		have, err := os.ReadFile(filepath.Join("..", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "docs/%s is stale: run `make generate`", name)
	}
}

func TestWrite_ReplacesTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, gen.Write(dir))
	for name, want := range gen.Files() {
		have, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have))
	}
	require.Error(t, gen.Write(filepath.Join(dir, "absent")))
}

// The part that is written by hand names every key that the file may have.
func TestIssuers_NamesEveryKey(t *testing.T) {
	t.Parallel()
	text := string(gen.Files()["configuration.md"])
	_, issuers, found := strings.Cut(text, "# AUTHN_CONFIG_FILE")
	require.True(t, found)
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		for f := range of.Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			require.Contains(t, issuers, "`"+key+"`", "%s.%s", of.Name(), f.Name)
			kind := f.Type
			for kind.Kind() == reflect.Slice || kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			if kind.Kind() == reflect.Struct && kind.PkgPath() == of.PkgPath() {
				check(kind)
			}
		}
	}
	check(reflect.TypeFor[authn.Config]())
	for _, profile := range authn.Profiles() {
		require.Contains(t, issuers, "`"+profile+"`")
	}
	for _, quirk := range authn.Quirks() {
		require.Contains(t, issuers, "`"+quirk+"`")
	}
}

// The example in the text is a file that pkg/authn accepts.
func TestIssuers_TheExampleIsValid(t *testing.T) {
	t.Parallel()
	text := string(gen.Files()["configuration.md"])
	_, rest, found := strings.Cut(text, "```yaml\n")
	require.True(t, found)
	example, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	_, err := authn.ParseConfig([]byte(example))
	require.NoError(t, err)
}
