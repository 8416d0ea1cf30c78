// Command check says whether the modules can be released: make release-check.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/shadowless/shadowless/tests/release"
)

func main() {
	tag := flag.String("tag", "", "also: whether a module can be released under this `tag`, such as pkg/authn/v0.1.0")
	flag.Parse()
	if err := run(context.Background(), *tag); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tag string) error {
	modules, err := release.Modules(ctx, ".")
	if err != nil {
		return err
	}
	changelog, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return fmt.Errorf("read the changelog: %w", err)
	}
	faults := release.Faults(modules, string(changelog))
	if tag != "" {
		out, err := exec.CommandContext(ctx, "git", "tag", "--list").Output()
		if err != nil {
			return fmt.Errorf("list the tags: %w", err)
		}
		faults = append(faults, release.TagFaults(modules, string(changelog), tag, strings.Fields(string(out)))...)
	}
	faults = append(faults, release.Builds(ctx, ".", modules))
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, m := range modules {
		fmt.Printf("%-16s builds by itself, as %s\n", m.Folder, m.Module.Path)
	}
	return nil
}
