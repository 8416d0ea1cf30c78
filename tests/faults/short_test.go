//go:build !long

package faults_test

// long tells whether the cases of make test-long are built.
const long = false
