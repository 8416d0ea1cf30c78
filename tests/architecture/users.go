package architecture

import (
	"fmt"
	"regexp"
	"slices"
)

// profileName matches columns that copy what only the identity provider and its
// directory know about a person. The words stand alone or between underscores:
// "name" and "display_name" match, "filename" and "service_name" do not.
var profileName = regexp.MustCompile(`^(name|username|nickname|(.*_)?(e_?mail|email_address|first_name|last_name|given_name|family_name|full_name|display_name|middle_name|user_name|customer_name|surname|avatar|avatar_url|picture|photo|image_url|phone|phone_number|mobile|birth_?date|date_of_birth|gender|locale|street|street_address|postal_code|address_line.*|password|password_hash))$`)

// userColumn matches columns that hold a user ID by their name.
var userColumn = regexp.MustCompile(`^((.*_)?user_id|sub|subject|(.*_)?user|owner_id|account_id|customer_id)$`)

// userIDName matches columns that hold a user ID and nothing else.
var userIDName = regexp.MustCompile(`^((.*_)?user_id|sub)$`)

// userTable matches tables of users by their name.
var userTable = regexp.MustCompile(`^(app_|shadow_|local_)?(users?|accounts?|profiles?|user_profiles?|members?|persons?|people|customers?)$`)

// ProfileColumns finds columns that copy a profile. No reason excuses one: a
// column that merely looks like a profile's gets another name. The bare word
// "name" counts wherever the row could be a person's, that is, where another
// column could identify one; a registry that is keyed by its own names is none.
func ProfileColumns(s Schema) []error {
	var faults []error
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			if !profileName.MatchString(c.Name) || c.Name == "name" && !identifies(t, c.Name) {
				continue
			}
			faults = append(faults, fmt.Errorf("%s: column %s.%s is named like a copy of a user's profile", s.Service, t.Name, c.Name))
		}
	}
	return faults
}

// identifies reports whether a column besides the named one could hold an ID.
func identifies(t Table, besides string) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool {
		return c.Name != besides && !c.Closed && (c.Type == "uuid" || !slices.Contains(neverUserID, c.Type))
	})
}

// UserTables finds tables with one row per user: a key that is the user ID
// alone, or with the tenant. Such a table is a user copy in the making, so it
// needs a written reason.
func UserTables(s Schema, reasons map[string]string) []error {
	var faults []error
	used := map[string]bool{}
	for _, t := range s.Tables {
		for _, key := range t.Keys {
			rest := slices.DeleteFunc(slices.Clone(key), func(c string) bool { return c == "tenant_id" || c == "issuer" })
			if len(rest) != 1 || !userColumn.MatchString(rest[0]) {
				continue
			}
			used[t.Name] = true
			if reasons[t.Name] == "" {
				faults = append(faults, fmt.Errorf("%s: table %s is keyed by the user ID alone (%v) and no reason is written down", s.Service, t.Name, key))
			}
			break
		}
	}
	for table := range reasons {
		if !used[table] {
			faults = append(faults, fmt.Errorf("%s: a reason is written for table %s, which is not keyed by a user ID", s.Service, table))
		}
	}
	return faults
}

// UserColumnTypes finds user IDs that are not stored as text, byte for byte.
func UserColumnTypes(s Schema) []error {
	var faults []error
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			if (c.Name == "user_id" || len(c.Name) > 8 && c.Name[len(c.Name)-8:] == "_user_id") && c.Type != "text" {
				faults = append(faults, fmt.Errorf("%s: %s.%s is %s; a user ID is opaque text", s.Service, t.Name, c.Name, c.Type))
			}
		}
	}
	return faults
}
