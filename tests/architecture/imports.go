package architecture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Root is the import path of the root module.
const Root = "github.com/shadowless/shadowless"

// Package is a node of the import graph with its edges, tests included.
type Package struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func (p Package) edges() []string {
	return slices.Concat(p.Imports, p.TestImports, p.XTestImports)
}

// ListPackages reads the import graph of the workspace's modules.
func ListPackages(ctx context.Context, dir string) ([]Package, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-json=ImportPath,Dir,Imports,TestImports,XTestImports",
		"./...", "./pkg/authn/...", "./pkg/identity/...")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	var packages []Package
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// serviceOf says which service a package belongs to, and where in it.
func serviceOf(importPath string) (service, inside string) {
	rest, ok := strings.CutPrefix(importPath, Root+"/services/")
	if !ok {
		return "", ""
	}
	service, inside, _ = strings.Cut(rest, "/")
	return service, inside
}

// ServiceImports finds services that reach into another one past its api.
func ServiceImports(packages []Package) []error {
	var faults []error
	for _, p := range packages {
		from, _ := serviceOf(p.ImportPath)
		if from == "" {
			continue
		}
		for _, to := range p.edges() {
			other, inside := serviceOf(to)
			if other == "" || other == from || inside == "api" || strings.HasPrefix(inside, "api/") {
				continue
			}
			faults = append(faults, fmt.Errorf("%s imports %s; of another service only its api may be imported", p.ImportPath, to))
		}
	}
	return faults
}

// starters may import the services themselves, to run or to describe them.
var starters = []string{Root + "/cmd/", Root + "/internal/devstack", Root + "/tests/", Root + "/compare", Root + "/docs/", Root + "/services/"}

// SharedImports finds shared packages that know a service.
func SharedImports(packages []Package) []error {
	var faults []error
	for _, p := range packages {
		if slices.ContainsFunc(starters, func(prefix string) bool { return strings.HasPrefix(p.ImportPath, prefix) }) {
			continue
		}
		for _, to := range p.edges() {
			if service, inside := serviceOf(to); service != "" && inside != "api" {
				faults = append(faults, fmt.Errorf("%s imports %s; what services share knows none of them", p.ImportPath, to))
			}
		}
	}
	return faults
}

// comparison is the other archetype of orders and billing, built on their domain
// and transport so that the store is what differs.
const comparison = Root + "/compare"

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// GuardedImports finds uses of a service's rooms by others than itself and the
// comparison: its root, its api and what it gives to tests are for others. A room
// that the comparison shares cannot lie behind internal/.
func GuardedImports(packages []Package) []error {
	var faults []error
	for _, p := range packages {
		from, _ := serviceOf(p.ImportPath)
		if within(p.ImportPath, comparison) {
			continue
		}
		for _, to := range p.edges() {
			service, inside := serviceOf(to)
			if service == "" || service == from || inside == "" || within(inside, "api") || inside == strings.ReplaceAll(service, "-", "")+"test" {
				continue
			}
			faults = append(faults, fmt.Errorf("%s imports %s; a room of a service is for itself and for compare/", p.ImportPath, to))
		}
	}
	return faults
}

// ComparisonImports finds uses of the other archetype: it is measured, run by the
// operator's command and tested, and nothing of the system stands on it.
func ComparisonImports(packages []Package) []error {
	users := []string{comparison, Root + "/cmd", Root + "/tests", Root + "/docs"}
	var faults []error
	for _, p := range packages {
		if slices.ContainsFunc(users, func(folder string) bool { return within(p.ImportPath, folder) }) {
			continue
		}
		for _, to := range p.edges() {
			if within(to, comparison) {
				faults = append(faults, fmt.Errorf("%s imports %s; nothing of the system stands on the other archetype", p.ImportPath, to))
			}
		}
	}
	return faults
}

// ModuleImports finds imports against the direction of the modules: pkg/* never
// import the root, and pkg/authn knows nothing of pkg/identity.
func ModuleImports(packages []Package) []error {
	const authn, identity = Root + "/pkg/authn", Root + "/pkg/identity"
	var faults []error
	for _, p := range packages {
		inAuthn, inIdentity := within(p.ImportPath, authn), within(p.ImportPath, identity)
		if !inAuthn && !inIdentity {
			continue
		}
		for _, to := range p.edges() {
			switch {
			case !within(to, Root):
			case inAuthn && !within(to, authn):
				faults = append(faults, fmt.Errorf("%s imports %s; pkg/authn stands alone", p.ImportPath, to))
			case inIdentity && !within(to, identity) && !within(to, authn):
				faults = append(faults, fmt.Errorf("%s imports %s; pkg/* never import the root module", p.ImportPath, to))
			}
		}
	}
	return faults
}

// kitAllowed are the only packages of go-kit that are used (docs/adr/0002).
var kitAllowed = []string{"github.com/go-kit/kit/endpoint", "github.com/go-kit/kit/transport/http"}

// KitImports finds uses of go-kit beyond the two packages.
func KitImports(packages []Package) []error {
	var faults []error
	for _, p := range packages {
		for _, to := range p.edges() {
			if strings.HasPrefix(to, "github.com/go-kit/") && !slices.Contains(kitAllowed, to) {
				faults = append(faults, fmt.Errorf("%s imports %s; of go-kit only endpoint and transport/http are used", p.ImportPath, to))
			}
		}
	}
	return faults
}
