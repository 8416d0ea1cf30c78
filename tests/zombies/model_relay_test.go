package zombies

import "slices"

// erase is the identity provider's message that the user was deleted, at the
// earliest and, where it comes again, at any later time.
func (m *model) erase(user string, open bool) {
	m.gone[user] = true
	m.write(relay, user, open, func() { m.openErasure(user) })
}

func (m *model) openErasure(user string) {
	if m.erasureOf(user) != nil {
		return
	}
	e := &erasure{id: m.next(), user: user}
	m.erasures = append(m.erasures, e)
	m.insert(relay, "erasures", user)
	m.append(message{kind: erasureRequested, user: user, erasure: e.id})
}

// seal erases the relay's own rows, once everybody else has answered and the
// user's events are out; completing is a second step.
func (m *model) seal(user string, open bool) {
	e := m.erasureOf(user)
	if e == nil || e.answered != [relay]bool{true, true, true} {
		return
	}
	if e.sealed {
		e.done, e.doneAt = true, m.clock
		return
	}
	n := m.nodes[relay]
	var doomed []*row
	m.run(relay, &transaction{
		user: user, exclusive: true,
		begin: func(*transaction) bool {
			doomed = n.of(user)
			return m.flaws.hastySeal || !slices.ContainsFunc(n.outbox, func(w message) bool { return w.user == user })
		},
		commit: func() {
			if e.sealed {
				return
			}
			e.sealed = true
			m.version++
			m.mark(n, user, m.version, false)
			m.dispose(n, user, doomed)
			n.dead[user] = m.version
		},
	}, open)
}

// readmit lifts the relay's own tombstone and tells everybody.
func (m *model) readmit(user string) {
	n := m.nodes[relay]
	if !n.buried(user) || m.erasureOf(user) != nil {
		return
	}
	m.run(relay, &transaction{
		user: user, exclusive: true,
		begin: func(*transaction) bool { return n.buried(user) && m.erasureOf(user) == nil },
		commit: func() {
			m.gone[user] = false
			m.append(message{kind: readmitted, user: user})
			m.mark(n, user, m.version, true)
			n.readmit(user, m.version)
		},
	}, false)
}

// replay puts every event of the log into the outbox again, but for those of
// users who were erased: their rows name them no more. It locks the users, so
// that a seal which found everything published stays right.
func (m *model) replay() {
	n := m.nodes[relay]
	for user := range 2 {
		id := userID(user)
		if m.flaws.blindReplay {
			m.replayOf(id)
			continue
		}
		m.run(relay, &transaction{
			user: id, begin: func(*transaction) bool { return !n.buried(id) }, commit: func() { m.replayOf(id) },
		}, false)
	}
}

func (m *model) replayOf(id string) {
	n := m.nodes[relay]
	for _, other := range m.nodes[:relay] {
		for _, e := range other.log {
			if e.from == relay && e.user == id && !slices.ContainsFunc(n.outbox, func(w message) bool { return w.id == e.id }) {
				n.outbox = append(n.outbox, e)
			}
		}
	}
}

// readHeld is the beginning of a reconciliation: who holds data of whom. What a
// participant has a tombstone for it does not tell.
func (m *model) readHeld() {
	m.held, m.heldAt = map[string]bool{}, m.clock
	for _, n := range m.nodes {
		for _, r := range n.rows {
			if !n.buried(r.owner) && m.erasureOf(r.owner) == nil {
				m.held[r.owner] = true
			}
		}
	}
}

// reconciled writes about a user who was held when the reconciliation began and
// whom the identity provider does not know, unless an erasure has come between.
func (m *model) reconciled(user string, open bool, fn func()) {
	if !m.held[user] || !m.gone[user] {
		return
	}
	if m.flaws.blindReconciliation {
		fn()
		return
	}
	m.run(relay, &transaction{user: user, commit: fn, begin: func(*transaction) bool {
		return !slices.ContainsFunc(m.erasures, func(e *erasure) bool {
			return e.user == user && (!e.done || e.doneAt >= m.heldAt)
		})
	}}, open)
}

// settle lets everything come to its end.
func (m *model) settle() {
	// What is not at rest after so many rounds never will be.
	for round := 0; round < 12 && !m.quiet(); round++ {
		for at, n := range m.nodes {
			for len(n.open) > 0 {
				m.finish(at, n.open[0])
			}
			for len(n.outbox) > 0 {
				m.publish(at, false)
			}
			for _, e := range slices.Clone(n.pending) {
				m.deliver(at, e, false)
			}
		}
		for user := range 2 {
			id := userID(user)
			if m.gone[id] && !m.nodes[relay].buried(id) {
				m.erase(id, false) // the identity provider repeats until it is answered
			}
			m.seal(id, false)
		}
	}
}

// quiet reports that nothing is under way.
func (m *model) quiet() bool {
	for _, n := range m.nodes {
		if len(n.open)+len(n.outbox)+len(n.pending) > 0 {
			return false
		}
	}
	for user := range 2 {
		if id := userID(user); m.gone[id] && (m.erasureOf(id) != nil || !m.nodes[relay].buried(id)) {
			return false
		}
	}
	return true
}

// unfinished lists what a deletion has left undone, after settle.
func (m *model) unfinished() []string {
	var found []string
	for user := range 2 {
		id := userID(user)
		for at, n := range m.nodes {
			_, ever := n.tombs[id]
			switch {
			case m.gone[id] && !n.buried(id):
				found = append(found, "no tombstone of "+id)
			case !m.gone[id] && ever && n.buried(id):
				found = append(found, "readmitted in vain: "+id)
			}
			if at != relay && m.gone[id] {
				for _, r := range n.of(id) {
					if disposition[r.table] != "retain" {
						found = append(found, id+" is left in "+r.table)
					}
				}
			}
		}
		if m.gone[id] && m.erasureOf(id) != nil {
			found = append(found, "the erasure has no end: "+id)
		}
	}
	return found
}
