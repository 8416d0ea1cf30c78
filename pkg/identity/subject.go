package identity

import (
	"crypto/sha256"
	"fmt"
)

// SubjectPrefix starts the NATS subject of every identity event of version 1.
const SubjectPrefix = "identity.v1."

// Partitions is the number of partitions that the events of all users spread over.
const Partitions = 8

// Partition returns the partition of a user ID: SHA-256 of its bytes modulo
// [Partitions]. All events of one user share a partition.
func Partition(userID string) int {
	sum := sha256.Sum256([]byte(userID))
	return int(sum[len(sum)-1] % Partitions)
}

// Subject returns the subject that e is published on:
// identity.v1.<type>.<partition>, the partition in two digits. The user ID is
// not in it: an opaque ID may hold dots, spaces and wildcards, and subjects are
// seen by operators.
func Subject(e Event) string {
	id := e.UserID
	if id == "" {
		id = e.SessionID
	}
	return fmt.Sprintf("%s%s.%02d", SubjectPrefix, e.Type, Partition(id))
}

// Filter returns the subject filter for all events of one type, or of a family
// of types: Filter("erasure") matches erasure.requested and erasure.readmitted.
func Filter(eventType string) string { return SubjectPrefix + eventType + ".>" }
