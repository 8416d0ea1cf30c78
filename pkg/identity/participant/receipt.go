package participant

import "time"

// ReceiptSubjectPrefix starts the subject of every receipt; the participant's name follows.
const ReceiptSubjectPrefix = "receipts.v1."

// KindRetentionEnded is the Kind of a receipt that nobody asked for: rows that an
// erasure had to keep were erased, because their time was over.
const KindRetentionEnded = "retention_ended"

// Receipt is a participant's answer to one erasure. It travels as JSON on
// receipts.v1.<participant> and never holds the user ID or a pseudonym of it.
type Receipt struct {
	// Kind is empty for the answer to an erasure, else KindRetentionEnded.
	Kind string `json:"kind,omitempty"`
	// ErasureID is the erasure that it answers.
	ErasureID string `json:"erasure_id"`
	// Participant is the name of who answers.
	Participant string `json:"participant"`
	// Request is the version of the event that asked. An erasure can be asked for
	// again, and then the answer to the first request does not count.
	Request uint64 `json:"request,omitempty"`
	// At is when the transaction of the erasure ran, UTC.
	At time.Time `json:"at"`
	// Manifest is the SHA-256 of the manifest that was worked through, in hex.
	Manifest string `json:"manifest_sha256"`
	// Columns holds one result per manifest entry, in the manifest's order; where
	// retention ended, only those entries of which rows were erased.
	Columns []ColumnResult `json:"columns"`
}

// ColumnResult says what became of the user's data in one column.
type ColumnResult struct {
	Table       string      `json:"table"`
	Column      string      `json:"column"`
	Disposition Disposition `json:"disposition"`
	// Rows is how many rows held the user's data: erased, pseudonymised or kept.
	Rows int64 `json:"rows"`
	// Remaining is what a second count found afterwards: 0, or the kept rows.
	Remaining int64 `json:"remaining"`
	// LegalReason and RetainedUntil are set for retained rows only. Where
	// retention ended, Disposition says what became of Rows, LegalReason what they
	// had been kept for, and Remaining and RetainedUntil tell of newer rows.
	LegalReason   string     `json:"legal_reason,omitempty"`
	RetainedUntil *time.Time `json:"retained_until,omitempty"`
}
