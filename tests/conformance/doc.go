// Package conformance holds token-exchange to its contract: 88 statements of what
// a Security Token Service must answer, each a test against the running service.
//
//	go test ./tests/conformance -run TestConformance/C13
//
// runs one statement by its number. A whole run compares docs/conformance.md with
// what it found; `make conformance` writes that document.
package conformance
