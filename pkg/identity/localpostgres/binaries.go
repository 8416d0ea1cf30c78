package localpostgres

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// ErrNotInstalled tells that no PostgreSQL server binaries were found; its text
// says how to get them.
var ErrNotInstalled = errors.New("no PostgreSQL server found: install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql) or name a running one with --database-url")

// folders where distributions keep the server's binaries outside PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// binaries returns the folder that holds initdb and postgres: the newest of the
// distribution's, else the one in PATH.
func binaries() (string, error) {
	var found []string
	for _, pattern := range folders {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for _, dir := range matches {
			if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
				found = append(found, dir)
			}
		}
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	if len(found) > 0 {
		return found[0], nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if dir := filepath.Dir(path); executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// version reads the number in /usr/lib/postgresql/15/bin; 0 where there is none.
func version(dir string) int {
	var digits strings.Builder
	for _, r := range filepath.Base(filepath.Dir(dir)) {
		if r >= '0' && r <= '9' {
			digits.WriteRune(r)
		}
	}
	n, err := strconv.Atoi(digits.String())
	if err != nil {
		return 0
	}
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
