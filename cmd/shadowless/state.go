package main

import (
	"context"
	"path/filepath"

	"github.com/shadowless/shadowless/internal/devstack"
)

// stateFlag finds this machine's system.
type stateFlag struct {
	StateDir string `help:"Where the system keeps its data (default: a folder of this user's; SHADOWLESS_STATE_DIR)." type:"path"`
}

func (f stateFlag) dir() (string, error) {
	if f.StateDir != "" {
		return filepath.Abs(f.StateDir)
	}
	return devstack.DefaultStateDir()
}

func (f stateFlag) running(ctx context.Context) (*devstack.Running, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	return devstack.FindRunning(ctx, dir)
}
