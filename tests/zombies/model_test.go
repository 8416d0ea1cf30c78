package zombies

import (
	"fmt"
	"slices"
)

// flaws are safeguards that a model does without.
type flaws struct {
	noTombstones        bool // writers do not ask for tombstones
	noLocks             bool // writers and erasures do not lock the user
	oneSnapshot         bool // the look-up sees the database as it was before the lock
	trustedEvents       bool // events are applied without asking for tombstones
	unversionedLift     bool // any readmission lifts, also one that came again
	hastySeal           bool // the relay seals while an event of the user is unpublished
	blindReplay         bool // the relay publishes erased users' events again
	blindReconciliation bool // reconciliation trusts what it read before the erasure
}

// row of a table; owner is a user ID or a pseudonym.
type row struct {
	id       int
	table    string
	owner    string
	order    int
	invoiced bool
}

// disposition of a table's rows; what is not here is erased.
var disposition = map[string]string{
	"orders": "pseudonymise", "invoices": "retain", "events": "pseudonymise", "erasures": "pseudonymise",
}

type tombstone struct {
	version int
	lifted  bool
}

type kind string

const (
	erasureRequested kind = "erasure.requested"
	readmitted       kind = "erasure.readmitted"
	accessChanged    kind = "access.changed"
	receipt          kind = "receipt"
	domainEvent      kind = "domain"
)

type message struct {
	id      int
	kind    kind
	user    string
	version int
	erasure int
	from    int
}

// call from orders to billing, which may arrive at any time and any number of times.
type call struct {
	order int
	owner string
}

// node is one participant with its database.
type node struct {
	rows     []*row
	tombs    map[string]tombstone
	receipts map[int]bool
	inbox    map[int]bool
	outbox   []message
	open     []*transaction
	dead     map[string]int   // who was erased here, and by which version: the truth that tombstones are held to
	retained map[string][]int // rows that the last erasure of the user kept
	pending  []message        // not acknowledged
	log      []message        // everything that was ever sent to it
}

// transaction between its begin and its end.
type transaction struct {
	user      string
	exclusive bool
	granted   bool
	buried    bool                    // there was a tombstone when it began
	begin     func(*transaction) bool // once it has its lock; false ends it
	commit    func()
}

type erasure struct {
	id       int
	user     string
	answered [relay]bool
	sealed   bool
	done     bool
	doneAt   int
}

type model struct {
	flaws    flaws
	nodes    [relay + 1]*node
	erasures []*erasure
	calls    []call
	gone     map[string]bool // deleted at the identity provider
	held     map[string]bool // what reconciliation has read
	heldAt   int
	clock    int
	ids      int
	version  int
}

func newModel(f flaws) *model {
	m := &model{flaws: f, gone: map[string]bool{}, held: map[string]bool{}}
	for i := range m.nodes {
		m.nodes[i] = &node{tombs: map[string]tombstone{}, receipts: map[int]bool{}, inbox: map[int]bool{}, dead: map[string]int{}, retained: map[string][]int{}}
	}
	return m
}

func (m *model) next() int {
	m.ids++
	return m.ids
}

// buried reports an active tombstone.
func (n *node) buried(user string) bool {
	t, known := n.tombs[user]
	return known && !t.lifted
}

func (m *model) insert(at int, table, owner string) *row {
	r := &row{id: m.next(), table: table, owner: owner}
	m.nodes[at].rows = append(m.nodes[at].rows, r)
	return r
}

// run begins a transaction: it takes its lock or waits in line, and goes on to
// its commit unless it is to stay open.
func (m *model) run(at int, tx *transaction, open bool) {
	n := m.nodes[at]
	tx.buried = n.buried(tx.user)
	n.open = append(n.open, tx)
	m.grant(at)
	if !open && tx.granted && slices.Contains(n.open, tx) {
		m.finish(at, tx)
	}
}

// grant gives locks in the order in which they were asked for, as PostgreSQL does.
func (m *model) grant(at int) {
	n := m.nodes[at]
	for again := true; again; {
		again = false
		for i, tx := range n.open {
			if tx.granted || !m.flaws.noLocks && slices.ContainsFunc(n.open[:i], func(before *transaction) bool {
				return before.user == tx.user && (before.exclusive || tx.exclusive)
			}) {
				continue
			}
			tx.granted = true
			if !tx.begin(tx) {
				n.open = slices.Delete(n.open, i, i+1)
				again = true
				break
			}
		}
	}
}

func (m *model) finish(at int, tx *transaction) {
	n := m.nodes[at]
	n.open = slices.DeleteFunc(n.open, func(other *transaction) bool { return other == tx })
	tx.commit()
	m.grant(at)
}

// write is a transaction that writes under a user's ID: first of all it asks for
// a tombstone. fn runs at its commit.
func (m *model) write(at int, user string, open bool, fn func()) {
	m.run(at, &transaction{
		user: user, commit: fn,
		begin: func(tx *transaction) bool { return !m.refused(at, tx) },
	}, open)
}

func (m *model) refused(at int, tx *transaction) bool {
	switch {
	case m.flaws.noTombstones:
		return false
	case m.flaws.oneSnapshot:
		return tx.buried
	default:
		return m.nodes[at].buried(tx.user)
	}
}

// readmit ends what an older erasure began.
func (n *node) readmit(user string, version int) {
	if n.dead[user] < version {
		delete(n.dead, user)
	}
}

// erasureOf is the user's erasure that is not complete.
func (m *model) erasureOf(user string) *erasure {
	for _, e := range m.erasures {
		if e.user == user && !e.done {
			return e
		}
	}
	return nil
}

// zombies lists rows that a participant holds of a user whom it has erased,
// beyond those that the erasure retained.
func (m *model) zombies() []string {
	var found []string
	for at, n := range m.nodes {
		for user := range 2 {
			id := userID(user)
			if _, dead := n.dead[id]; !dead {
				continue
			}
			for _, r := range n.rows {
				if r.owner == id && !slices.Contains(n.retained[id], r.id) {
					found = append(found, fmt.Sprintf("participant %d holds %s in %s", at, id, r.table))
				}
			}
			for _, waiting := range n.outbox {
				if waiting.user == id {
					found = append(found, fmt.Sprintf("participant %d holds %s in its outbox: %s", at, id, waiting.kind))
				}
			}
		}
	}
	return found
}

func userID(user int) string { return fmt.Sprintf("u%d", user) }
