package architecture

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Exempt are the folders whose tables the rules about users leave out, each with
// the reason.
var Exempt = map[string]string{
	"services/" + IdentityProvider: "it stands in for the identity provider that a company already has: users live there, and only there",
	"examples":                     "no part of the system: programs to copy from, and one that begins with a table of users to show the way out",
	"compare":                      "the other archetype, a mirrored table of users with foreign keys, built to be measured against; ComparisonImports keeps the system off it",
}

// sharedTables are applied by the services, and held to the rules in each.
var sharedTables = []string{"pkg/identity/mailbox", "pkg/identity/participant", "internal/idempotency"}

// UnheldMigrations finds tables that no rule looks at: their migrations belong
// neither to a service nor to what services share, and nothing exempts them.
func UnheldMigrations(tree fs.FS, services []string) []error {
	var faults []error
	seen := map[string]bool{}
	err := walk(tree, func(name string, d fs.DirEntry) {
		folder := path.Dir(name)
		if d.IsDir() || path.Ext(name) != ".sql" || seen[folder] {
			return
		}
		seen[folder] = true
		parts := strings.Split(folder, "/")
		held := len(parts) > 1 && parts[0] == "services" && slices.Contains(services, parts[1]) ||
			slices.ContainsFunc(sharedTables, func(shared string) bool { return within(folder, shared) })
		for exempt, reason := range Exempt {
			held = held || within(folder, exempt) && reason != ""
		}
		if !held {
			faults = append(faults, fmt.Errorf("%s makes tables that no rule about users looks at", folder))
		}
	})
	return withError(faults, err)
}
