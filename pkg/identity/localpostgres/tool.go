package localpostgres

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Tool returns the path of a program of PostgreSQL's, such as pg_dump: the one
// beside the server's binaries, which has their version, else the one in PATH.
func Tool(name string) (string, error) {
	if dir, err := binaries(); err == nil {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	return path, nil
}
