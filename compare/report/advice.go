package report

// delegation is the section whose measures have the four archetypes, in this order.
const delegation = "delegation"

// choices are when each of the four is the right one.
var choices = []struct{ archetype, decides, when string }{
	{
		"shadow × own rules", "the service, from the token and its own rows",
		"One team and one database, and pages that search, sort or filter by what people are called. Accept that a lost webhook is wrong until the next reconciliation, and that names and addresses lie in every database that has the table.",
	},
	{
		"shadow × full delegation", "the provider, at each request",
		"Hardly ever: it pays for the copy of the users and for the question at each request. As a step while rules move to the provider.",
	},
	{
		"federated × own rules", "the service, from the token",
		"Services with databases of their own; profiles that must lie in one place; deletions that must be proved. The default of this project.",
	},
	{
		"federated × full delegation", "the provider, at each request",
		"Permissions that change within a token's life and must count at once, and few requests. Ask for single permissions instead (abac_required), and decide the others from the token.",
	},
}

// Choice is the table of the four archetypes, with what each was measured at; it
// is empty where that was not measured.
func (r *Report) Choice() Table {
	t := Table{Head: []string{"archetype", "who decides"}}
	for _, s := range r.Sections {
		if s.ID != delegation {
			continue
		}
		for _, m := range s.Measures {
			if len(m.Bars) == len(choices) {
				t.Head = append(t.Head, m.Name)
			}
		}
		t.Head = append(t.Head, "choose it when")
		for i, c := range choices {
			cells := []string{c.archetype, c.decides}
			for _, m := range s.Measures {
				if len(m.Bars) == len(choices) {
					cells = append(cells, SpreadOf(m.Bars[i].Values).format(m.Unit))
				}
			}
			t.Rows = append(t.Rows, append(cells, c.when))
		}
	}
	return t
}

// when to choose the shadow table, which no number says.
var when = []string{
	"Choose it where everything that has users' rows is in one database and will stay there: foreign keys and joins then hold across all of it, and a deletion is one transaction.",
	"Choose it where pages search, sort or filter by name or e-mail: a JOIN does that, and a directory that is asked by ID does not.",
	"Choose it where names must be shown that nobody has asked for while the provider is down.",
	"Build it with what was measured here: tombstones, reconciliation, and a guard against old webhooks. Without them the sections on webhooks and live tokens are what you get.",
}

// advice is where the shadow table was better in every run, and when to choose it.
func (r *Report) advice() []string {
	var out []string
	for _, o := range r.Outcomes() {
		if o.Winner == Shadow {
			out = append(out, o.Section+" – "+o.Name+": "+o.Shadow.format(o.Unit)+" with a shadow table, "+o.Federated.format(o.Unit)+" with federated IDs.")
		}
	}
	return append(out, when...)
}
