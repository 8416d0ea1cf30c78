package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// vault remembers generated values by name.
type vault struct {
	path    string
	values  map[string]string
	changed bool
}

func openVault(path string) (*vault, error) {
	v := &vault{path: path, values: map[string]string{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others; make it private with chmod 600", path)
	}
	if err := json.Unmarshal(raw, &v.values); err != nil {
		return nil, fmt.Errorf("read the credentials: %s is damaged", path) // the cause would quote a secret
	}
	return v, nil
}

// value returns what is remembered under the name, or makes it.
func (v *vault) value(name string, fill func() (string, error)) (string, error) {
	if value, ok := v.values[name]; ok {
		return value, nil
	}
	value, err := fill()
	if err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
	}
	v.set(name, value)
	return value, nil
}

func (v *vault) set(name, value string) {
	v.values[name] = value
	v.changed = true
}

// save replaces the file whole.
func (v *vault) save() error {
	if !v.changed {
		return nil
	}
	raw, err := json.MarshalIndent(v.values, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the credentials: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(v.path), 0o700); err != nil {
		return fmt.Errorf("make the credentials' folder: %w", err)
	}
	temporary := v.path + ".new"
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	if err := os.Rename(temporary, v.path); err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	v.changed = false
	return nil
}
