package architecture

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// neverUserID are the types that cannot hold opaque text. Every other type can,
// also one that does not exist yet.
var neverUserID = []string{
	"bool", "int2", "int4", "int8", "float4", "float8", "numeric", "money", "uuid", "date", "time", "timetz",
	"timestamp", "timestamptz", "interval", "inet", "cidr", "macaddr", "oid",
}

// Columns is tests/architecture/columns.yaml: what the manifests need not name.
type Columns struct {
	// Shared are the tables that several services have.
	Shared map[string]TableNotes `yaml:"shared"`
	// Services maps a service to its tables.
	Services map[string]map[string]TableNotes `yaml:"services"`
}

// TableNotes excuses columns of one table and, where its key is a user ID, says
// why the table is not a copy of the users.
type TableNotes struct {
	KeyedByUser string            `yaml:"keyed_by_user,omitempty"`
	NoUserID    map[string]string `yaml:"no_user_id,omitempty"` // reason → columns, separated by commas
}

// ParseColumns reads the file strictly.
func ParseColumns(raw []byte) (Columns, error) {
	var c Columns
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return Columns{}, fmt.Errorf("parse columns.yaml: %w", err)
	}
	return c, nil
}

// Of gives the notes on the tables of a service that its database has.
func (c Columns) Of(s Schema) map[string]TableNotes {
	notes := map[string]TableNotes{}
	for _, t := range s.Tables {
		if n, ok := c.Shared[t.Name]; ok {
			notes[t.Name] = n
		}
	}
	maps.Copy(notes, c.Services[s.Service])
	return notes
}

// Reasons of the tables that are keyed by a user ID.
func Reasons(notes map[string]TableNotes) map[string]string {
	reasons := map[string]string{}
	for table, n := range notes {
		if n.KeyedByUser != "" {
			reasons[table] = n.KeyedByUser
		}
	}
	return reasons
}

// UndeclaredColumns finds columns that can hold a user ID and are neither in
// the service's disposition manifest nor excused with a reason, entries for
// columns that do not exist, and columns that are both.
func UndeclaredColumns(s Schema, m *participant.Manifest, notes map[string]TableNotes) []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(s.Service+": "+format, args...))
	}
	declared := declaredColumns(m)
	excused := map[string]string{}
	for table, n := range notes {
		for reason, list := range n.NoUserID {
			for name := range strings.SplitSeq(list, ",") {
				excused[table+"."+strings.TrimSpace(name)] = strings.TrimSpace(reason)
			}
		}
	}
	exist := map[string]bool{}
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			name := t.Name + "." + c.Name
			exist[name] = true
			reason, isExcused := excused[name]
			switch {
			case slices.Contains(neverUserID, c.Type) || c.Closed && !isExcused && !declared[name]:
			case declared[name] && isExcused:
				fault("%s is in the manifest and excused from it", name)
			case isExcused && len(reason) < len("why not"):
				fault("%s is excused without a reason", name)
			case isExcused && userIDName.MatchString(c.Name):
				fault("%s is excused, but its name says that it holds a user ID", name)
			case !declared[name] && !isExcused:
				fault("%s (%s) can hold a user ID and is not in the disposition manifest", name, c.Type)
			}
		}
	}
	for name := range declared {
		if !exist[name] {
			fault("the manifest names %s, which does not exist", name)
		}
	}
	for name := range excused {
		if !exist[name] {
			fault("%s is excused and does not exist", name)
		}
	}
	return faults
}

// UnexportedChildren finds tables that refer to one that an export shows and are
// not shown themselves: rows that belong to a user's rows are the user's data.
func UnexportedChildren(s Schema, m *participant.Manifest) []error {
	exported := map[string]bool{}
	var descend func(children []participant.Child)
	descend = func(children []participant.Child) {
		for _, c := range children {
			exported[c.Table] = true
			descend(c.Children)
		}
	}
	for _, t := range m.Tables {
		exported[t.Name[strings.LastIndex(t.Name, ".")+1:]] = true
		descend(t.Children)
	}
	var faults []error
	for _, k := range s.ForeignKeys {
		if exported[k.To] && !exported[k.From] {
			faults = append(faults, fmt.Errorf("%s: %s belongs to %s (%s) and an export leaves it out", s.Service, k.From, k.To, k.Name))
		}
	}
	return faults
}

func declaredColumns(m *participant.Manifest) map[string]bool {
	declared := map[string]bool{}
	if m == nil {
		return declared
	}
	for _, t := range m.Tables {
		table := t.Name[strings.LastIndex(t.Name, ".")+1:]
		for _, c := range t.Columns {
			declared[table+"."+c.Name] = true
			if c.Key != "" {
				declared[table+"."+c.Key] = true
			}
		}
	}
	return declared
}
