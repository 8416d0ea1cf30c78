package architecture

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MaxMainLines is the longest main.go: it reads no configuration and decides
// nothing, it calls Run.
const MaxMainLines = 40

// MaxFileLines is where a file has more than one subject.
const MaxFileLines = 500

// drawer matches folders that say nothing about what is in them.
var drawer = regexp.MustCompile(`^(utils?|utilities|common|commons|helpers?|managers?|misc|shared|lib|libs|impl)$`)

// skipped are folders without our source.
func skipped(name string) bool {
	return strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "bin"
}

// walk calls visit for every file and folder of the source tree.
func walk(tree fs.FS, visit func(name string, d fs.DirEntry)) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && skipped(d.Name()) {
			return fs.SkipDir
		}
		visit(name, d)
		return nil
	})
}

// LongMains finds main.go files of services that do more than start.
func LongMains(tree fs.FS) []error {
	var faults []error
	err := walk(tree, func(name string, d fs.DirEntry) {
		if matched, _ := path.Match("services/*/cmd/*/main.go", name); !matched || d.IsDir() {
			return
		}
		if n := lines(tree, name); n > MaxMainLines {
			faults = append(faults, fmt.Errorf("%s has %d lines, at most %d are allowed", name, n, MaxMainLines))
		}
	})
	return withError(faults, err)
}

// LongFiles finds source files with more than one subject.
func LongFiles(tree fs.FS) []error {
	var faults []error
	err := walk(tree, func(name string, d fs.DirEntry) {
		if d.IsDir() || path.Ext(name) != ".go" {
			return
		}
		if n := lines(tree, name); n > MaxFileLines {
			faults = append(faults, fmt.Errorf("%s has %d lines, at most %d are allowed", name, n, MaxFileLines))
		}
	})
	return withError(faults, err)
}

// DrawerFolders finds folders named after nothing.
func DrawerFolders(tree fs.FS) []error {
	var faults []error
	err := walk(tree, func(name string, d fs.DirEntry) {
		if d.IsDir() && drawer.MatchString(d.Name()) {
			faults = append(faults, fmt.Errorf("folder %s is named after nothing that is in it", name))
		}
	})
	return withError(faults, err)
}

// rooms are what each service has at the same place.
func rooms(service string) []string {
	all := []string{"config.go", "run.go", "openapi.yaml", "cmd/" + service + "/main.go"}
	if service == IdentityProvider {
		return all // it speaks the provider's contract, in which it decides itself
	}
	return append(all, "access.go", "manifest.yaml")
}

// MissingRooms finds services without an access table, an OpenAPI document, a
// disposition manifest or a command of their own, and folders under services/
// that the list of services does not have.
func MissingRooms(tree fs.FS, services []string) []error {
	var faults []error
	for _, service := range services {
		for _, room := range rooms(service) {
			if _, err := fs.Stat(tree, path.Join("services", service, room)); err != nil {
				faults = append(faults, fmt.Errorf("services/%s has no %s", service, room))
			}
		}
	}
	entries, err := fs.ReadDir(tree, "services")
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(services, e.Name()) {
			faults = append(faults, fmt.Errorf("services/%s is not in the list of services", e.Name()))
		}
	}
	return withError(faults, err)
}

func lines(tree fs.FS, name string) int {
	raw, err := fs.ReadFile(tree, name)
	if err != nil {
		return 1 << 30 // what cannot be read is not short
	}
	return bytes.Count(bytes.TrimRight(raw, "\n"), []byte("\n")) + 1
}

func withError(faults []error, err error) []error {
	if err != nil {
		return append(faults, fmt.Errorf("read the source tree: %w", err))
	}
	return faults
}
