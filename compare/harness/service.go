package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/shadowless/shadowless/compare/report"
)

// errNoSource means that the command does not run inside the repository.
var errNoSource = errors.New("the repository's source is not here")

// repository finds the root from the working directory upwards.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errNoSource
		}
		dir = parent
	}
}

// What the lines of a service say that are there because of users.
var (
	shadowWords    = regexp.MustCompile(`\b(users|table|hook)\b`)
	federatedWords = regexp.MustCompile(`\b(participant|erasures|holdings|userids|directory|names|tombstones|dispositions|Manifest)\b`)
)

// code is a line that is neither empty nor a comment of Go or YAML.
var code = regexp.MustCompile(`^\s*([^\s/#]|/[^/])`)

// furtherService counts what a service's team writes because there are users.
func furtherService(_ context.Context, _ *world) (report.Section, error) {
	section := report.Section{
		Title: "Adding another service", Question: "What does its team write because there are users?",
		Method: []string{
			"Counted in the repository, without tests, comments and empty lines. In orders: lines of its Go code that mention the archetype's means (" + shadowWords.String() + " in compare/orders; " + federatedWords.String() + " in services/orders, without what both share, its domain and transport, but with the part of the domain that asks the directory), and lines of its disposition manifest. Migrations are those of the shared tables that the means bring along.",
			"The code behind it is what each service runs: of a shadow table its webhook, reconciliation and tombstones (compare/users); of federated IDs pkg/identity/participant, directory and revocation. The federated counterparts of webhook and reconciliation are in identity-relay, which there is once however many services there are, and which does more than they do; it is counted by itself.",
		},
	}
	root, err := repository()
	if err != nil {
		return section, err
	}
	count := func(folder string, keep func(path string) bool, words *regexp.Regexp) (n int) {
		if err == nil {
			n, err = countLines(filepath.Join(root, folder), keep, words)
		}
		return n
	}
	source := func(path string) bool {
		return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(filepath.Dir(path), "test")
	}
	apart := func(path string) bool {
		shared := strings.Contains(path, "/domain/") && filepath.Base(path) != "customers.go" || strings.Contains(path, "/transport/")
		return source(path) && !shared
	}
	named := func(name string) func(string) bool {
		return func(path string) bool { return filepath.Base(path) == name }
	}
	migration := func(path string) bool { return strings.HasSuffix(path, ".sql") }
	all := regexp.MustCompile(``)
	first := regexp.MustCompile(`^-- \+goose Up`)
	bar := func(a report.Archetype, n int) report.Bar {
		return report.Bar{Label: map[report.Archetype]string{report.Shadow: "shadow table", report.Federated: "federated IDs"}[a], Archetype: a, Values: []float64{float64(n)}}
	}
	both := func(name string, shadow, federated int) {
		section.Measures = append(section.Measures, report.Measure{Name: name, Unit: report.Count, Bars: []report.Bar{bar(report.Shadow, shadow), bar(report.Federated, federated)}})
	}
	both("lines of orders that mention it", count("compare/orders", apart, shadowWords), count("services/orders", apart, federatedWords)+count("services/orders", named("manifest.yaml"), all))
	both("migrations that come along", count("compare/users", migration, first), count("pkg/identity/participant", migration, first))
	both("lines of the code behind it, in each service", count("compare/users", source, all),
		count("pkg/identity/participant", source, all)+count("pkg/identity/directory", source, all)+count("pkg/identity/revocation", source, all))
	both("lines of what runs once beside the services", 0, count("services/identity-relay", source, all))
	section.Tables = []report.Table{{Title: "And outside the service", Head: []string{"what", "shadow table", "federated IDs"}, Rows: [][]string{
		{"at the provider", "another webhook endpoint with a secret", "nothing"},
		{"at identity-relay", "there is none", "its name in the registry of participants, and a durable in NATS"},
		{"in the service's own tables", "a foreign key for each column with a user ID", "a line of the manifest for each, checked by a test"},
	}}}
	if err != nil {
		return section, fmt.Errorf("count lines: %w", err)
	}
	return section, nil
}

// countLines of code of the files below a folder that are kept and match.
func countLines(folder string, keep func(string) bool, words *regexp.Regexp) (n int, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !keep(path) {
			return err
		}
		file, err := os.Open(path) //nolint:gosec // our own source
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // only read
		scanner := bufio.NewScanner(file)
		for scanner.Scan() {
			if line := scanner.Text(); code.MatchString(line) && words.MatchString(line) {
				n++
			}
		}
		return scanner.Err()
	})
	return n, err
}
