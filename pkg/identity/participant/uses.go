package participant

import "fmt"

// Withheld is a column that an export leaves out.
type Withheld struct {
	Column string `yaml:"column" json:"column"`
	// Reason is read by the person whose export it is.
	Reason string `yaml:"reason" json:"reason"`
}

// Child is a table without a user ID whose rows belong to rows of its parent:
// an export shows them, an erasure leaves them to their foreign key.
type Child struct {
	Table string `yaml:"table"`
	// Column refers to the parent's column Of.
	Column   string     `yaml:"column"`
	Of       string     `yaml:"of"`
	Withhold []Withheld `yaml:"withhold,omitempty"`
	// Children belong to this table's rows in turn.
	Children []Child `yaml:"children,omitempty"`
}

// RekeyAction is what becomes of a table's rows when a user gets another ID.
type RekeyAction string

// RekeyMove puts the new ID in the old one's place. RekeyDiscard deletes the old
// ID's rows, for what means nothing under another ID. RekeyKeep leaves them, for
// what is about the old ID itself.
const (
	RekeyMove    RekeyAction = "move"
	RekeyDiscard RekeyAction = "discard"
	RekeyKeep    RekeyAction = "keep"
)

// RekeyConflict is what happens where a unique key lets only one of two rows
// stay: the old ID's and the new one's.
type RekeyConflict string

// Refuse leaves everything as it was until somebody decides. KeepNew deletes the
// old ID's row. Add adds the columns of Rekey.Add up in the new ID's row first.
const (
	ConflictRefuse  RekeyConflict = "refuse"
	ConflictKeepNew RekeyConflict = "keep_new"
	ConflictAdd     RekeyConflict = "add"
)

// Rekey says how a table's rows follow their user to another ID. Without one
// they move, and a conflict is refused.
type Rekey struct {
	Action   RekeyAction   `yaml:"action,omitempty"`
	Conflict RekeyConflict `yaml:"conflict,omitempty"`
	// Add lists the columns that Conflict add adds up.
	Add []string `yaml:"add,omitempty"`
	// Reason is required where rows of the old ID do not survive.
	Reason string `yaml:"reason,omitempty"`
}

func (r Rekey) action() RekeyAction {
	if r.Action == "" {
		return RekeyMove
	}
	return r.Action
}

func (r Rekey) conflict() RekeyConflict {
	if r.Conflict == "" {
		return ConflictRefuse
	}
	return r.Conflict
}

func (t Table) useFaults() []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("table %s: "+format, append([]any{t.Name}, args...)...))
	}
	withheld := func(in string, list []Withheld) {
		for _, w := range list {
			if !allIdentifiers(w.Column) || w.Reason == "" {
				fault("%s withholds %q: a column name and a reason are required", in, w.Column)
			}
		}
	}
	withheld(t.Name, t.Withhold)
	var descend func(children []Child)
	descend = func(children []Child) {
		for _, c := range children {
			if !allIdentifiers(c.Table, c.Column, c.Of) {
				fault("child %q: table, column and of must be names", c.Table)
			}
			withheld(c.Table, c.Withhold)
			descend(c.Children)
		}
	}
	descend(t.Children)
	r := t.Rekey
	switch r.action() {
	case RekeyMove:
	case RekeyDiscard, RekeyKeep:
		if r.Conflict != "" {
			fault("rekey: what does not move has no conflicts")
		}
	default:
		fault("rekey: action must be move, discard or keep")
	}
	switch r.conflict() {
	case ConflictRefuse, ConflictKeepNew, ConflictAdd:
	default:
		fault("rekey: conflict must be refuse, keep_new or add")
	}
	if (r.conflict() == ConflictAdd) != (len(r.Add) > 0) || !allIdentifiers(r.Add...) {
		fault("rekey: conflict add, and no other, needs the columns to add")
	}
	if r.Reason == "" && (r.action() != RekeyMove || r.conflict() != ConflictRefuse) {
		fault("rekey: a reason is required where rows do not move")
	}
	return faults
}
