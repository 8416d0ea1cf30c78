package faults

import "slices"

// Case is one fault.
type Case struct {
	// ID names its test: TestFaults/<ID>.
	ID string
	// Fault is what was done, Works what kept working meanwhile.
	Fault, Works string
	// Long cases run in make test-long and make faults alone.
	Long bool
}

// Cases lists all, in the document's order.
func Cases() []Case { return slices.Clone(cases) }

var cases = []Case{
	{
		ID:    "nats-killed",
		Fault: "NATS, a process of its own, killed with SIGKILL and started again on its store",
		Works: "orders, their invoices and payments; webhooks and a deletion are accepted (the outboxes keep what must go out)",
	},
	{
		ID:    "postgres-restarted",
		Fault: "Postgres stopped in immediate mode (SIGQUIT: no checkpoint, every connection broken) and started again",
		Works: "nothing that writes, as all services share this one server; who came again with the same key or ID was served",
	},
	{
		ID:    "relay-killed-before-publish",
		Fault: "identity-relay cut off from NATS, so that what it commits cannot be published, then killed and started again",
		Works: "webhooks are accepted while it is cut off; orders all the time",
	},
	{
		ID:    "relay-killed-before-acknowledgment",
		Fault: "identity-relay publishes, JetStream's acknowledgment is withheld, then it is killed and started again, so that it publishes twice; JetStream's window is 100 ms here, so the inboxes have to notice",
		Works: "orders; everything that does not wait for the relay",
	},
	{
		ID:    "consumer-killed-before-acknowledgment",
		Fault: "orders applies billing's event and commits, its acknowledgment is withheld, then it is killed and started again, so that the event is delivered twice",
		Works: "billing, webhooks, the erasures of everybody else",
	},
	{
		ID:    "orders-killed",
		Fault: "orders killed with SIGKILL under load and started again",
		Works: "billing, webhooks, sign-in; nobody's accepted order is lost",
	},
	{
		ID:    "billing-killed",
		Fault: "billing killed with SIGKILL under load and started again",
		Works: "orders are accepted and invoiced later; webhooks",
	},
	{
		ID:    "token-exchange-killed",
		Fault: "token-exchange killed with SIGKILL under load and started again",
		Works: "orders and invoices with cached tokens; webhooks",
	},
	{
		ID:    "identity-relay-killed",
		Fault: "identity-relay killed with SIGKILL under load and started again",
		Works: "orders, invoices, payments; the IdP's queue keeps its webhooks",
	},
	{
		ID:    "console-killed",
		Fault: "console killed with SIGKILL under load and started again",
		Works: "everything else",
	},
	{
		ID:    "clock-of-webhooks",
		Fault: "webhooks with the timestamps of an IdP whose clock is 71 h behind, 4 min ahead and 6 min ahead, beside one that is right",
		Works: "all but the 6 min ahead, which is refused (401, counted as from the future) and changes nothing",
	},
	{
		ID:    "slow-consumer",
		Fault: "token-exchange cannot finish a message for longer than the acknowledgment wait, because somebody holds a lock on its table; what it works on is delivered again meanwhile",
		Works: "every other participant; the erasure stays open and names token-exchange",
	},
	{
		ID:    "store-full",
		Fault: "JetStream may keep less than it holds (max_file_store), so that it refuses every message; then it gets room again",
		Works: "orders, invoices, payments and webhooks are accepted (the outboxes keep what must go out)",
	},
	{
		ID:    "duplicate-storm",
		Fault: "every webhook of a user's life, the deletion among them, 100 times with other delivery IDs in random order, and each of those twice",
		Works: "everything",
	},
	{
		ID:    "clocks-of-services",
		Fault: "every service in turn runs with a clock 20 s behind or ahead of the others (built with a time.Now that is off)",
		Works: "everything: 20 s lie within the leeway of 30 s",
		Long:  true,
	},
	{
		ID:    "cluster-leader-killed",
		Fault: "of a NATS cluster of three nodes, the leader of the stream of identity events is killed with SIGKILL, then started again",
		Works: "orders, invoices, payments and webhooks; events go on after the election",
		Long:  true,
	},
}
