package release_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/release"
)

const root = "../.."

// copies of the repository's modules, so that each test can spoil its own.
func modules(t *testing.T) (list []release.Module, changelog string) {
	t.Helper()
	list, err := release.Modules(t.Context(), root)
	require.NoError(t, err)
	raw, err := os.ReadFile(root + "/CHANGELOG.md")
	require.NoError(t, err)
	return list, string(raw)
}

func TestModules_CanBecomeReleases(t *testing.T) {
	t.Parallel()
	list, changelog := modules(t)
	require.Equal(t, ".", list[0].Folder)
	require.Len(t, list, 4)
	require.NoError(t, errors.Join(release.Faults(list, changelog)...))
}

func TestFaults_AreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(m []release.Module, changelog *string)
		says  string
	}{
		"a path":                          {func(m []release.Module, _ *string) { m[0].Module.Path = "example.com/x" }, "importers look for"},
		"a replace to outside":            {func(m []release.Module, _ *string) { m[0].Replace[0].New.Path = "../authn" }, "only modules of this repository"},
		"a replace of others":             {func(m []release.Module, _ *string) { m[0].Replace[0].Old.Path = "github.com/google/uuid" }, "only modules of this repository"},
		"a replace by a version":          {func(m []release.Module, _ *string) { m[0].Replace[0].New.Version = "v1.0.0" }, "only modules of this repository"},
		"a release that is a placeholder": {func(m []release.Module, _ *string) { m[0].Replace = nil }, "is required at v0.0.0, replaced: false"},
		"the root":                        {func(m []release.Module, _ *string) { require1(m, "pkg/authn", release.Prefix) }, "needs the root"},
		"a circle":                        {func(m []release.Module, _ *string) { require1(m, "pkg/authn", release.Prefix+"/pkg/identity") }, "in a circle"},
		"no changelog": {func(_ []release.Module, changelog *string) {
			*changelog = strings.Replace(*changelog, "### Unreleased", "### 0.1.0", 1)
		}, "no Unreleased section"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, changelog := modules(t)
			c.spoil(list, &changelog)
			require.ErrorContains(t, errors.Join(release.Faults(list, changelog)...), c.says)
		})
	}
}

// After the first release modules are replaced and required at their last tag.
func TestFaults_AllowAReplaceBetweenTwoReleases(t *testing.T) {
	t.Parallel()
	list, changelog := modules(t)
	for i := range list[0].Require {
		if r := &list[0].Require[i]; r.Version == "v0.0.0" {
			r.Version = "v0.1.0"
		}
	}
	require.NoError(t, errors.Join(release.Faults(list, changelog)...))
}

// require1 makes a module need another.
func require1(list []release.Module, folder, path string) {
	for i := range list {
		if list[i].Folder == folder {
			list[i].Require = append(list[i].Require, struct{ Path, Version string }{path, "v0.1.0"})
		}
	}
}

// What the check says before a tag, and that nothing is said when all is done.
func TestTag_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	list, changelog := modules(t)
	says := func(tag string, tags ...string) string {
		if err := errors.Join(release.TagFaults(list, changelog, tag, tags)...); err != nil {
			return err.Error()
		}
		return ""
	}
	require.Contains(t, says("pkg/identity/v0.1.0"), "pkg/authn is replaced; importers would not get that")
	require.Contains(t, says("pkg/identity/v0.1.0"), "pkg/authn is required at v0.0.0, which is no release")
	require.Contains(t, says("pkg/authn/v0.1.0"), "the changelog has no section 0.1.0")
	require.Contains(t, says("pkg/authn/1.0"), "1.0 is no version of a release")
	require.Contains(t, says("pkg/authn/v0.0.0"), "v0.0.0 is no version of a release")
	require.Contains(t, says("pkg/authn/v0.1.0", "pkg/authn/v0.1.0"), "a tag is never moved")
	require.Contains(t, says("pkg/authn/bench/v0.1.0"), "is no module that is released")
	require.Contains(t, says("pkg/other/v0.1.0"), "is no module that is released")

	changelog = strings.ReplaceAll(changelog, "### Unreleased", "### Unreleased\n\n### 0.1.0 - 2030-01-31")
	require.Empty(t, says("pkg/authn/v0.1.0"))
	for i := range list {
		if list[i].Folder == "pkg/identity" {
			list[i].Replace = nil
			for j := range list[i].Require {
				if list[i].Require[j].Path == release.Prefix+"/pkg/authn" {
					list[i].Require[j].Version = "v0.1.0"
				}
			}
		}
	}
	require.Contains(t, says("pkg/identity/v0.1.0"), "there is no tag pkg/authn/v0.1.0")
	require.Empty(t, says("pkg/identity/v0.1.0", "pkg/authn/v0.1.0"))
}
