package architecture

import (
	"fmt"
	"slices"
)

// crossing are the extensions that let one database read another.
var crossing = []string{"dblink", "postgres_fdw", "file_fdw"}

// CrossReferences finds foreign keys, views, foreign tables and extensions that
// leave the service's own schema. One database has one service, so anything in
// another schema is somebody else's.
func CrossReferences(s Schema) []error {
	var faults []error
	for _, t := range s.Tables {
		if t.Schema != "public" {
			faults = append(faults, fmt.Errorf("%s: table %s.%s is outside the service's schema", s.Service, t.Schema, t.Name))
		}
	}
	for _, fk := range s.ForeignKeys {
		if fk.ToSchema != fk.FromSchema {
			faults = append(faults, fmt.Errorf("%s: foreign key %s leads from %s to %s.%s", s.Service, fk.Name, fk.From, fk.ToSchema, fk.To))
		}
	}
	for _, use := range s.ViewUses {
		if use.ToSchema != use.FromSchema && use.ToSchema != "pg_catalog" {
			faults = append(faults, fmt.Errorf("%s: view %s reads %s.%s", s.Service, use.From, use.ToSchema, use.To))
		}
	}
	for _, table := range s.ForeignTables {
		faults = append(faults, fmt.Errorf("%s: %s is a table of another server", s.Service, table))
	}
	for _, extension := range s.Extensions {
		if slices.Contains(crossing, extension) {
			faults = append(faults, fmt.Errorf("%s: extension %s reads other databases", s.Service, extension))
		}
	}
	return faults
}

// UserReferences finds foreign keys from a column that holds a user ID.
func UserReferences(s Schema) []error {
	var faults []error
	for _, fk := range s.ForeignKeys {
		if userTable.MatchString(fk.To) {
			faults = append(faults, fmt.Errorf("%s: foreign key %s leads from %s to %s, a table of users", s.Service, fk.Name, fk.From, fk.To))
		}
	}
	for _, t := range s.Tables {
		if userTable.MatchString(t.Name) {
			faults = append(faults, fmt.Errorf("%s: table %s is named like a table of users", s.Service, t.Name))
		}
	}
	return faults
}

// Login is one service's way into Postgres somewhere: on one machine, or in a
// cluster's overlay.
type Login struct{ Where, Service, Database, Role string }

// SharedLogins finds databases and roles that two services have in common.
func SharedLogins(logins []Login) []error {
	var faults []error
	databases, roles := map[[2]string]string{}, map[[2]string]string{}
	for _, l := range logins {
		for _, held := range []struct {
			what string
			key  [2]string
			by   map[[2]string]string
		}{{"database", [2]string{l.Where, l.Database}, databases}, {"role", [2]string{l.Where, l.Role}, roles}} {
			if held.key[1] == "" {
				faults = append(faults, fmt.Errorf("%s: %s has no %s", l.Where, l.Service, held.what))
				continue
			}
			if other, ok := held.by[held.key]; ok && other != l.Service {
				faults = append(faults, fmt.Errorf("%s: %s and %s share the %s %s", l.Where, other, l.Service, held.what, held.key[1]))
			}
			held.by[held.key] = l.Service
		}
	}
	return faults
}
