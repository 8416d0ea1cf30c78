//go:build race

package gobuild_test

const race = true
