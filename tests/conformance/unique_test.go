//go:build !long

package conformance_test

// uniqueTokens is how many tokens' IDs are compared; make test-long takes 1e5.
const uniqueTokens = 2_000
