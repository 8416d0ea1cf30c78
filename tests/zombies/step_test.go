package zombies

import (
	"fmt"

	"pgregory.net/rapid"
)

// Op is what a step does.
type Op string

// The steps. A step that has nothing to act on does nothing.
const (
	Nothing Op = "nothing"
	// Rest lets everything that is under way come to its end.
	Rest Op = "rest"

	// Requests and jobs.
	Place     Op = "place"     // the user places an order
	Repeat    Op = "repeat"    // the user's last order again, under its idempotency key
	Pay       Op = "pay"       // the user pays an invoice
	Cancel    Op = "cancel"    // the user cancels an order
	Call      Op = "call"      // a call from orders to billing arrives, perhaps for the second time
	Retry     Op = "retry"     // orders' worker reads an order without an invoice and calls billing
	Statement Op = "statement" // billing's nightly job writes a customer's month
	Webhook   Op = "webhook"   // the identity provider tells the relay of the user

	// Transactions that stand open, and crashes.
	Commit Op = "commit" // an open transaction of the participant goes on to its commit
	Abort  Op = "abort"  // an open transaction's session dies
	Crash  Op = "crash"  // every session of the participant dies

	// Messages.
	Publish      Op = "publish"       // the participant's outbox publishes its oldest message
	PublishTwice Op = "publish twice" // the same, and the process dies before it deletes the row
	Deliver      Op = "deliver"       // one of the participant's messages is delivered, in any order
	Redeliver    Op = "redeliver"     // one is delivered again: its acknowledgment was lost
	Forget       Op = "forget"        // one is delivered again after its inbox row was pruned
	Answer       Op = "answer"        // the relay publishes one message, everybody handles what came and answers
	Replay       Op = "replay"        // the relay publishes its log again

	// The user's life and death.
	Erase   Op = "erase"   // the identity provider deletes the user
	Seal    Op = "seal"    // the relay erases its own rows, when all others have answered
	Readmit Op = "readmit" // an operator readmits an erased user
	Race    Op = "race"    // the user is deleted while requests of theirs are under way

	// Reconciliation.
	ReadHeld Op = "read held" // who holds data of whom
	Note     Op = "note"      // a user whom the identity provider did not know is noted
	Settle   Op = "settle"    // the second look-up did not find the user either
)

// Participants of a schedule. The exchange stands for whoever keeps rows that
// events about users make: token-exchange's projection of grants.
const (
	orders = iota
	billing
	exchange
	relay
)

// Step is one step of a schedule.
type Step struct {
	Op   Op
	User int // 0 or 1
	At   int // participant: orders, billing, exchange or relay
	Pick int // which of several
	// Open leaves the transaction of the step open; else it runs to its commit.
	Open bool
}

func (s Step) String() string {
	open := ""
	if s.Open {
		open = " open"
	}
	return fmt.Sprintf("%s u%d p%d #%d%s", s.Op, s.User, s.At, s.Pick, open)
}

// modelOps are drawn as often as they stand here. Counterexamples shrink to the first.
var modelOps = []Op{
	Nothing, Rest,
	Place, Place, Place, Repeat, Pay, Call, Call, Call, Retry, Statement, Webhook, Webhook, Cancel,
	Commit, Commit, Commit, Abort, Crash,
	Publish, Publish, Publish, PublishTwice, PublishTwice, Deliver, Deliver, Redeliver, Forget,
	Answer, Answer, Answer, Answer, Replay,
	Erase, Erase, Erase, Seal, Seal, Seal, Seal, Readmit, Race,
	ReadHeld, Note, Settle,
}

// schedule draws steps.
func schedule(ops []Op, shortest, longest int) *rapid.Generator[[]Step] {
	step := rapid.Custom(func(t *rapid.T) Step {
		return Step{
			Op:   rapid.SampledFrom(ops).Draw(t, "op"),
			User: rapid.IntRange(0, 1).Draw(t, "user"),
			At:   rapid.IntRange(orders, relay).Draw(t, "at"),
			Pick: rapid.IntRange(0, 7).Draw(t, "pick"),
			Open: rapid.SampledFrom([]bool{false, false, true}).Draw(t, "open"),
		}
	})
	return rapid.SliceOfN(step, shortest, longest)
}
