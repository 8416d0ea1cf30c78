// Package release holds the modules of this repository to what docs/releasing.md
// says of them, so that a tag is one that others can use.
package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Prefix of our modules' paths; the root module is the prefix itself.
const Prefix = "github.com/shadowless/shadowless"

// placeholder is required of a module that is replaced.
const placeholder = "v0.0.0"

// unreleased are modules that nobody imports.
var unreleased = []string{"pkg/authn/bench"}

// Module is what its go.mod says.
type Module struct {
	Folder  string `json:"-"` // from the root, with slashes; "." for the root
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
}

// Modules reads those of the workspace, the root first.
func Modules(ctx context.Context, root string) ([]Module, error) {
	var work struct{ Use []struct{ DiskPath string } }
	if err := edit(ctx, root, &work, "work", "edit", "-json"); err != nil {
		return nil, err
	}
	var list []Module
	for _, use := range work.Use {
		m := Module{Folder: filepath.ToSlash(filepath.Clean(use.DiskPath))}
		if err := edit(ctx, filepath.Join(root, use.DiskPath), &m, "mod", "edit", "-json"); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func edit(ctx context.Context, dir string, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // our own words
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go %s in %s: %w", strings.Join(args, " "), dir, err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("read go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func ours(path string) bool { return path == Prefix || strings.HasPrefix(path, Prefix+"/") }

// Faults are what must hold on every commit.
func Faults(modules []Module, changelog string) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	folder := map[string]string{}
	for _, m := range modules {
		folder[m.Module.Path] = m.Folder
		want := Prefix
		if m.Folder != "." {
			want += "/" + m.Folder
		}
		if m.Module.Path != want {
			fault("%s: the module is called %s, and importers look for %s", m.Folder, m.Module.Path, want)
		}
	}
	needs := map[string][]string{}
	for _, m := range modules {
		faults = append(faults, m.faults(folder)...)
		for _, r := range m.Require {
			if ours(r.Path) {
				needs[m.Module.Path] = append(needs[m.Module.Path], r.Path)
			}
		}
		if !slices.Contains(unreleased, m.Folder) && section(changelog, m.Folder, "Unreleased") == "" {
			fault("%s: the changelog has no Unreleased section for it", m.Folder)
		}
	}
	for path := range needs {
		if reaches(needs, path, path, map[string]bool{}) {
			fault("%s needs itself in a circle", path)
		}
	}
	return faults
}

// faults of one module, given the folder of each of ours.
func (m Module) faults(folder map[string]string) (faults []error) {
	replaced := map[string]bool{}
	for _, r := range m.Replace {
		replaced[r.Old.Path] = true
		target := filepath.ToSlash(filepath.Join(m.Folder, r.New.Path))
		if at, known := folder[r.Old.Path]; !known || r.New.Version != "" || target != at {
			faults = append(faults, fmt.Errorf("%s: %s is replaced by %s; only modules of this repository may be, by their folder", m.Folder, r.Old.Path, r.New.Path))
		}
	}
	for _, r := range m.Require {
		switch {
		case !ours(r.Path) || r.Path != Prefix && replaced[r.Path] == (r.Version == placeholder):
		case r.Path == Prefix:
			faults = append(faults, fmt.Errorf("%s: a module of ours needs the root", m.Folder))
		case replaced[r.Path] && release.MatchString(r.Version): // between two releases
		default:
			faults = append(faults, fmt.Errorf("%s: %s is required at %s, replaced: %t", m.Folder, r.Path, r.Version, replaced[r.Path]))
		}
	}
	return faults
}

func reaches(needs map[string][]string, from, to string, seen map[string]bool) bool {
	for _, next := range needs[from] {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(needs, next, to, seen) {
				return true
			}
		}
	}
	return false
}

var release = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// TagFaults are what keeps a module from being released under a tag. tags are
// those that exist.
func TagFaults(modules []Module, changelog, tag string, tags []string) []error {
	at, version := ".", tag
	if i := strings.LastIndex(tag, "/"); i >= 0 {
		at, version = tag[:i], tag[i+1:]
	}
	i := slices.IndexFunc(modules, func(m Module) bool { return m.Folder == at })
	if i < 0 || slices.Contains(unreleased, at) {
		return []error{fmt.Errorf("%s is no module that is released", at)}
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !release.MatchString(version) || version == placeholder {
		fault("%s is no version of a release", version)
	}
	if slices.Contains(tags, tag) {
		fault("the tag %s exists, and a tag is never moved", tag)
	}
	for _, r := range modules[i].Replace {
		fault("%s is replaced; importers would not get that", r.Old.Path)
	}
	for _, r := range modules[i].Require {
		needed := strings.TrimPrefix(strings.TrimPrefix(r.Path, Prefix), "/") + "/" + r.Version
		switch {
		case !ours(r.Path):
		case r.Version == placeholder || !release.MatchString(r.Version):
			fault("%s is required at %s, which is no release", r.Path, r.Version)
		case !slices.Contains(tags, needed):
			fault("%s is required, and there is no tag %s", r.Path, needed)
		}
	}
	if section(changelog, at, strings.TrimPrefix(version, "v")) == "" {
		fault("the changelog has no section %s for it", strings.TrimPrefix(version, "v"))
	}
	return faults
}

// section is a version's heading in a module's part of the changelog.
func section(changelog, folder, version string) string {
	title := folder
	if folder == "." {
		title = "Root"
	}
	_, part, found := strings.Cut(changelog, "\n## "+title)
	if !found {
		return ""
	}
	part, _, _ = strings.Cut(part, "\n## ")
	return regexp.MustCompile(`(?m)^### ` + regexp.QuoteMeta(version) + `( |$).*`).FindString(part)
}

// Builds compiles every module with its tests as importers see it, without the
// workspace, and runs none.
func Builds(ctx context.Context, root string, modules []Module) error {
	var faults []error
	for _, m := range modules {
		for _, args := range [][]string{{"build", "./..."}, {"vet", "./..."}} {
			cmd := exec.CommandContext(ctx, "go", args...)
			cmd.Dir = filepath.Join(root, m.Folder)
			cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
			if out, err := cmd.CombinedOutput(); err != nil {
				faults = append(faults, fmt.Errorf("%s: go %s: %w\n%s", m.Folder, args[0], err, out))
			}
		}
	}
	return errors.Join(faults...)
}
