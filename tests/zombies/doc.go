// Package zombies shows that nobody comes back from the dead: once a participant
// has erased a user, no request with a valid token, late event, replay, retry,
// crash or outbox makes it hold a row under that ID again. Only a readmission
// does, which somebody decides.
//
// One vocabulary of steps ([Step]) is drawn at random and run twice.
//
//   - Against a model (model_test.go): relay, orders and billing as sets of rows,
//     with transactions that stand open between any two steps, locks, outbox,
//     inbox, streams, reconciliation and readmission. Thousands of schedules a
//     second; after every step each tombstoned participant may hold the ID in
//     the rows that its manifest retained and in no other, and in the end every
//     deletion has come to its certificate.
//   - Against the real services (system_test.go): orders and billing over HTTP with
//     signed tokens, on PostgreSQL and NATS. The steps open requests that stand in the
//     middle of their transaction, keep calls from orders to billing and let
//     them arrive late or twice, hold consumers back, deliver messages again,
//     forget inboxes and kill every database session. What is held is found by
//     reading every column of every table, not by asking the services.
//
// A property that cannot fail shows nothing: TestModel_CatchesEachFlaw takes one
// safeguard at a time out of the model and wants a counterexample.
//
// `-tags long` runs thousands of schedules against the real services.
package zombies
