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
	shadowWords    = regexp.MustCompile(`\busers\.|\btable\b|\bhook\b|\bt\.users\b`)
	federatedWords = regexp.MustCompile(`\bparticipant\.|\berasures\b|\bholdings\.|\buserids\.|\bdirectory\.|\btombstones\b`)
)

// furtherService counts what a service's team writes because there are users.
func furtherService(_ context.Context, _ *world) (report.Section, error) {
	section := report.Section{
		Title: "Adding another service", Question: "What does its team write because there are users?",
		Method: []string{
			"Counted in the repository, in orders: lines of its Go code, without tests, domain and transport, that mention the archetype's means (" + shadowWords.String() + " in compare/orders, " + federatedWords.String() + " in services/orders), and lines of its disposition manifest. Migrations are those of the shared tables that the means bring along.",
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
		return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "/domain/") && !strings.Contains(path, "/transport/")
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
	both("lines of orders that mention it", count("compare/orders", source, shadowWords), count("services/orders", source, federatedWords)+count("services/orders", named("manifest.yaml"), all))
	both("migrations that come along", count("compare/users", migration, first), count("pkg/identity/participant", migration, first))
	both("lines of the code behind it", count("compare/users", source, all), count("pkg/identity/participant", source, all)+count("pkg/identity/directory", source, all))
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

// countLines of the files below a folder that are kept and match.
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
			if words.MatchString(scanner.Text()) {
				n++
			}
		}
		return scanner.Err()
	})
	return n, err
}
