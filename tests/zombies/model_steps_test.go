package zombies

import (
	"fmt"
	"slices"
)

// step takes one step.
func (m *model) step(s Step) {
	m.clock++
	user := userID(s.User)
	switch s.Op {
	case Nothing:
	case Rest:
		m.settle()
	case Place, Repeat:
		m.place(user, s.Open)
	case Pay:
		m.write(billing, user, s.Open, func() { m.insert(billing, "idempotency_keys", user) })
	case Cancel:
		m.write(orders, user, s.Open, func() { m.send(orders, message{kind: domainEvent}) })
	case Call:
		if len(m.calls) > 0 {
			m.call(m.calls[s.Pick%len(m.calls)], s.Open)
		}
	case Retry:
		for _, r := range m.nodes[orders].rows {
			if r.table == "orders" && !r.invoiced {
				m.calls = append(m.calls, call{r.id, r.owner})
				break
			}
		}
	case Statement:
		m.statement(s)
	case Webhook:
		m.write(relay, user, s.Open, func() { m.append(message{kind: accessChanged, user: user}) })
	case Commit:
		if n := m.nodes[s.At]; len(n.open) > 0 {
			if tx := n.open[s.Pick%len(n.open)]; tx.granted {
				m.finish(s.At, tx)
			}
		}
	case Abort:
		if n := m.nodes[s.At]; len(n.open) > 0 {
			i := s.Pick % len(n.open)
			n.open = slices.Delete(n.open, i, i+1)
			m.grant(s.At)
		}
	case Crash:
		m.nodes[s.At].open = nil
	default:
		m.stepMessages(s, user)
	}
}

func (m *model) stepMessages(s Step, user string) {
	n := m.nodes[s.At]
	switch s.Op {
	case Publish, PublishTwice:
		m.publish(s.At, s.Op == PublishTwice)
	case Deliver:
		if len(n.pending) > 0 {
			m.deliver(s.At, n.pending[s.Pick%len(n.pending)], s.Open)
		}
	case Redeliver, Forget:
		if len(n.log) > 0 {
			again := n.log[s.Pick%len(n.log)]
			if s.Op == Forget {
				delete(n.inbox, again.id)
			}
			m.deliver(s.At, again, s.Open)
		}
	case Answer:
		m.publish(relay, false)
		for at, other := range m.nodes {
			for _, e := range slices.Clone(other.pending) {
				m.deliver(at, e, false)
			}
			for at != relay && len(other.outbox) > 0 {
				m.publish(at, false)
			}
		}
	case Replay:
		m.replay()
	case Erase:
		m.erase(user, s.Open)
	case Race:
		m.place(user, true)
		m.step(Step{Op: Call, Pick: s.Pick, Open: true})
		m.erase(user, false)
		for range m.nodes[relay].outbox {
			m.publish(relay, false)
		}
		m.step(Step{Op: Deliver, At: s.At, Pick: s.Pick, Open: true})
	case Seal:
		m.seal(user, s.Open)
	case Readmit:
		m.readmit(user)
	case ReadHeld:
		m.readHeld()
	case Note:
		m.reconciled(user, s.Open, func() { m.insert(relay, "reconciliation_missing", user) })
	case Settle:
		m.reconciled(user, s.Open, func() { m.openErasure(user) })
	default:
		panic("a step that the model does not know: " + string(s.Op))
	}
}

func (m *model) place(user string, open bool) {
	m.write(orders, user, open, func() {
		m.insert(orders, "idempotency_keys", user)
		o := m.insert(orders, "orders", user)
		m.calls = append(m.calls, call{o.id, user})
	})
}

// call has billing make an order's invoice, once.
func (m *model) call(c call, open bool) {
	m.write(billing, c.owner, open, func() {
		for _, r := range m.nodes[billing].rows {
			if r.table == "invoices" && r.order == c.order {
				return
			}
		}
		m.insert(billing, "invoices", c.owner).order = c.order
		for _, o := range m.nodes[orders].rows {
			o.invoiced = o.invoiced || o.id == c.order
		}
	})
}

// statement reads a customer from a retained invoice and writes later.
func (m *model) statement(s Step) {
	var owners []string
	for _, r := range m.nodes[billing].rows {
		if r.table == "invoices" {
			owners = append(owners, r.owner)
		}
	}
	if len(owners) > 0 {
		owner := owners[s.Pick%len(owners)]
		m.write(billing, owner, s.Open, func() { m.insert(billing, "statements", owner) })
	}
}

// append gives an event its version and stores it with its message.
func (m *model) append(e message) {
	m.version++
	e.version = m.version
	m.insert(relay, "events", e.user)
	m.send(relay, e)
}

func (m *model) send(at int, e message) {
	e.id, e.from = m.next(), at
	m.nodes[at].outbox = append(m.nodes[at].outbox, e)
}

func (m *model) publish(at int, crash bool) {
	n := m.nodes[at]
	if len(n.outbox) == 0 {
		return
	}
	e := n.outbox[0]
	if !crash {
		n.outbox = slices.Delete(n.outbox, 0, 1)
	}
	for to, other := range m.nodes {
		if to == at || e.kind == receipt && to != relay || e.kind != receipt && to == relay {
			continue
		}
		other.pending = append(other.pending, e)
		if !slices.ContainsFunc(other.log, func(known message) bool { return known.id == e.id }) {
			other.log = append(other.log, e)
		}
	}
}

// deliver opens the message's transaction with its inbox row.
func (m *model) deliver(at int, e message, open bool) {
	n := m.nodes[at]
	acknowledge := func() {
		n.pending = slices.DeleteFunc(n.pending, func(other message) bool { return other.id == e.id })
	}
	if n.inbox[e.id] {
		acknowledge()
		return
	}
	applied := func(fn func()) func() {
		return func() {
			if !n.inbox[e.id] { // else another replica was first, and this one waited for its inbox row
				n.inbox[e.id] = true
				fn()
			}
			acknowledge()
		}
	}
	switch e.kind {
	case erasureRequested:
		m.run(at, m.erasing(at, e, applied), open)
	case readmitted:
		m.run(at, &transaction{
			user: e.user, exclusive: true, begin: func(*transaction) bool { return true },
			commit: applied(func() {
				m.mark(n, e.user, e.version, true)
				n.readmit(e.user, e.version)
			}),
		}, open)
	case accessChanged:
		if at != exchange {
			acknowledge()
			return
		}
		write := applied(func() { m.insert(at, "user_grants", e.user) })
		m.run(at, &transaction{user: e.user, commit: write, begin: func(tx *transaction) bool {
			if !m.flaws.trustedEvents && m.refused(at, tx) {
				acknowledge()
				return false
			}
			return true
		}}, open)
	case receipt:
		for _, known := range m.erasures {
			if known.id == e.erasure {
				known.answered[e.from] = true
			}
		}
		applied(func() {})()
	default:
		applied(func() {})()
	}
}

// erasing is a participant's erasure: tombstone, rows and receipt in one transaction.
func (m *model) erasing(at int, e message, applied func(func()) func()) *transaction {
	n := m.nodes[at]
	var doomed []*row
	tx := &transaction{user: e.user, exclusive: true}
	answer := func() { m.send(at, message{kind: receipt, erasure: e.erasure}) }
	tx.commit = applied(func() {
		if !n.receipts[e.erasure] {
			m.mark(n, e.user, e.version, false)
			m.dispose(n, e.user, doomed)
			n.dead[e.user] = max(n.dead[e.user], e.version)
			n.receipts[e.erasure] = true
		}
		answer()
	})
	tx.begin = func(*transaction) bool {
		if t, known := n.tombs[e.user]; known && t.lifted && t.version > e.version && !n.receipts[e.erasure] {
			applied(func() {})() // a dead letter
			return false
		}
		doomed = n.of(e.user)
		return true
	}
	return tx
}

func (n *node) of(user string) []*row {
	var rows []*row
	for _, r := range n.rows {
		if r.owner == user {
			rows = append(rows, r)
		}
	}
	return rows
}

// dispose does with rows what the manifest says.
func (m *model) dispose(n *node, user string, rows []*row) {
	pseudonym := fmt.Sprintf("erased:%d", m.next())
	n.retained[user] = nil
	for _, r := range rows {
		switch disposition[r.table] {
		case "pseudonymise":
			r.owner = pseudonym
		case "retain":
			n.retained[user] = append(n.retained[user], r.id)
		default:
			n.rows = slices.DeleteFunc(n.rows, func(other *row) bool { return other == r })
		}
	}
}

// mark sets what the newest event asks for.
func (m *model) mark(n *node, user string, version int, lifted bool) {
	t, known := n.tombs[user]
	if !known || t.version <= version || lifted && m.flaws.unversionedLift {
		n.tombs[user] = tombstone{version: max(version, t.version), lifted: lifted}
	}
}
