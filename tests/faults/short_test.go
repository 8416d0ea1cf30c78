//go:build !long

package faults_test

import "testing"

// long tells whether the cases of make test-long are built.
const long = false

// apart are the tests of cases that need a system of their own: long ones.
var apart map[string]func(*testing.T) *trial
