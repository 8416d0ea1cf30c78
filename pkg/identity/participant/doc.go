// Package participant makes a service answer erasures.
//
// A service that holds data under user IDs declares every column that can hold
// one in a [Manifest]: erase, pseudonymise or retain, the last with its legal
// reason and time. When an erasure is requested, [Participant] works through
// the manifest in one transaction, remembers the user by a tombstone (a keyed
// hash, never the ID), counts a second time, and answers with a [Receipt].
//
// The tombstone outlives the data: a service calls [Tombstones.Refuse] in each
// transaction that writes under a user ID, so that a late request, event or
// replay cannot bring the user back.
package participant
