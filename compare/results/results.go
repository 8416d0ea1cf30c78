// Package results keeps the raw numbers that docs/archetypes.md quotes: the
// report.json of one whole run of `make compare`, and of one with a million users.
// `shadowless compare --from` renders either again.
package results

import _ "embed"

// Usual is the report.json of a run with 100,000 users. Its section on newcomers is
// of a run of its own on the same day, since the large one had 700 of them.
//
//go:embed users-100000.json
var Usual []byte

// Million is the report.json of a run with 1,000,000 users, each thing measured
// once, but for lost webhooks and backups: their repair reads the development
// IdP's list by offset, which takes the square of the users.
//
//go:embed users-1000000.json
var Million []byte
