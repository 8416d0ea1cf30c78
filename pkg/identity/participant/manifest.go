package participant

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Disposition is what an erasure does with a column.
type Disposition string

// The dispositions. Erase deletes the rows, or, for an entry with a Key, sets
// the column to NULL. Pseudonymise replaces the user ID by erased:<UUID>, one
// per erasure and service. Retain keeps the rows for a legal reason and a time.
const (
	Erase        Disposition = "erase"
	Pseudonymise Disposition = "pseudonymise"
	Retain       Disposition = "retain"
)

// ErrManifest is returned for a manifest that is wrong in itself or does not fit the database.
var ErrManifest = errors.New("disposition manifest")

// Manifest declares every column of a service that can hold a user ID, or data
// that is found by one.
type Manifest struct {
	// Version of the format: 1.
	Version int `yaml:"version"`
	// Tables are worked through in their order.
	Tables []Table `yaml:"tables"`

	sum string
}

// Table is one table. Name may carry its schema: "public.orders".
type Table struct {
	Name    string   `yaml:"table"`
	Columns []Column `yaml:"columns"`
	// Withhold are columns that an export of the user's rows leaves out.
	Withhold []Withheld `yaml:"withhold,omitempty"`
	// Children are tables whose rows belong to this one's in an export.
	Children []Child `yaml:"children,omitempty"`
	// Rekey says how the rows follow their user to another ID.
	Rekey Rekey `yaml:"rekey,omitempty"`
}

// Column is what happens to one column of a table.
type Column struct {
	// Name is the column that the disposition applies to.
	Name string `yaml:"column"`
	// Disposition is erase, pseudonymise or retain.
	Disposition Disposition `yaml:"disposition"`
	// Key is the column that holds the user ID by which rows are found, if it is
	// not the column itself. Rows then stay and Name is emptied or kept.
	Key string `yaml:"key,omitempty"`
	// Path leads to the user ID inside a json or jsonb column, one member a step.
	Path []string `yaml:"path,omitempty"`
	// Where is an SQL predicate that limits the rows, for a column that holds
	// other things besides user IDs. It comes from the service's own source.
	Where string `yaml:"where,omitempty"`
	// LegalReason says why retained rows are kept; required for retain.
	LegalReason string `yaml:"legal_reason,omitempty"`
	// Retention is how long, as an ISO 8601 period: P10Y, P6M, P30D; required for retain.
	Retention Period `yaml:"retention,omitempty"`
	// Since is the date or timestamp column from which Retention counts, per
	// row. Without it, retention counts from the erasure.
	Since string `yaml:"since,omitempty"`
	// Then is what happens to a row when its retention has ended: erase, the
	// default, or pseudonymise, for rows that others refer to.
	Then Disposition `yaml:"then,omitempty"`
}

var identifierPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// ParseManifest reads a manifest from YAML, refuses unknown keys and reports
// every fault at once. Its errors wrap [ErrManifest].
func ParseManifest(raw []byte) (*Manifest, error) {
	var m Manifest
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", ErrManifest)
	}
	if faults := m.faults(); len(faults) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrManifest, errors.Join(faults...))
	}
	sum := sha256.Sum256(raw)
	m.sum = hex.EncodeToString(sum[:])
	return &m, nil
}

func (m *Manifest) faults() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if m.Version != 1 {
		fault("version must be 1")
	}
	if len(m.Tables) == 0 {
		fault("no tables")
	}
	seen := map[string]bool{}
	for _, t := range m.Tables {
		parts := strings.Split(t.Name, ".")
		if len(parts) > 2 || !allIdentifiers(parts...) {
			fault("table %q: not a name", t.Name)
		}
		if len(t.Columns) == 0 {
			fault("table %s: no columns", t.Name)
		}
		faults = append(faults, t.useFaults()...)
		for _, c := range t.Columns {
			for _, problem := range c.problems() {
				fault("%s.%s: %s", t.Name, c.Name, problem)
			}
			entry := fmt.Sprintf("%q %q %q %q", t.Name, c.Name, c.Path, c.Where)
			if seen[entry] {
				fault("%s.%s: declared twice", t.Name, c.Name)
			}
			seen[entry] = true
		}
	}
	return faults
}

func (c Column) problems() []string {
	var problems []string
	if !allIdentifiers(c.Name) {
		problems = append(problems, "not a column name")
	}
	if c.Key != "" && (!allIdentifiers(c.Key) || c.Key == c.Name) {
		problems = append(problems, "key must name another column")
	}
	if c.Since != "" && !allIdentifiers(c.Since) {
		problems = append(problems, "since must name a column")
	}
	for _, step := range c.Path {
		if step == "" || strings.ContainsAny(step, `{},"\`) {
			problems = append(problems, "path steps must be plain member names")
		}
	}
	retains := c.LegalReason != "" || c.Retention != (Period{}) || c.Since != "" || c.Then != ""
	switch c.Disposition {
	case Retain:
		if c.LegalReason == "" {
			problems = append(problems, "retain needs legal_reason")
		}
		if c.Retention == (Period{}) {
			problems = append(problems, "retain needs retention")
		}
		if c.Then != "" && c.Then != Erase && (c.Then != Pseudonymise || c.Key != "") {
			problems = append(problems, "then must be erase, or pseudonymise for the user ID itself")
		}
	case Erase, Pseudonymise:
		if retains {
			problems = append(problems, "legal_reason, retention, since and then belong to retain")
		}
		if c.Disposition == Pseudonymise && c.Key != "" {
			problems = append(problems, "pseudonymise replaces the user ID itself and takes no key")
		}
	default:
		problems = append(problems, "disposition must be erase, pseudonymise or retain")
	}
	return problems
}

func allIdentifiers(names ...string) bool {
	for _, name := range names {
		if !identifierPattern.MatchString(name) {
			return false
		}
	}
	return true
}
