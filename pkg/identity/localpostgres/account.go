package localpostgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is the user that the server runs as; nil means the caller's own.
type account struct {
	name     string
	uid, gid uint32
}

// serverUser returns nil unless the program runs as root.
func serverUser() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is "the caller's own user", documented on account
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s has no numeric ID: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s has no numeric group: %w", name, err)
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is neither a user postgres nor nobody to run it as")
}

// canReach names the folder above dir that would not let the account through;
// initdb's own message would be a bare "permission denied".
func (a *account) canReach(dir string) error {
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("look at %s: %w", parent, err)
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("postgres runs as user %s, who may not enter %s: choose a folder outside it", a.name, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}
