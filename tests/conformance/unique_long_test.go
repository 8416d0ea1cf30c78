//go:build long

package conformance_test

const uniqueTokens = 100_000
