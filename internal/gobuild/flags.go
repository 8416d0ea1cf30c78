// Package gobuild lets tests that call the go command build as they were built
// themselves.
package gobuild

import (
	"runtime/debug"
	"slices"
)

// Flags are those of this very binary that decide what is compiled: "-race", or
// none. With them the packages that the tests were made of are not compiled a
// second time, which costs two processors minutes on a fresh machine.
func Flags() []string {
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return []string{"-race"}
	}
	return nil
}
