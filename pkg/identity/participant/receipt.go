package participant

import "time"

// ReceiptSubjectPrefix starts the subject of every receipt; the participant's name follows.
const ReceiptSubjectPrefix = "receipts.v1."

// Receipt is a participant's answer to one erasure. It travels as JSON on
// receipts.v1.<participant> and never holds the user ID or a pseudonym of it.
type Receipt struct {
	// ErasureID is the erasure that it answers.
	ErasureID string `json:"erasure_id"`
	// Participant is the name of who answers.
	Participant string `json:"participant"`
	// At is when the transaction of the erasure ran, UTC.
	At time.Time `json:"at"`
	// Manifest is the SHA-256 of the manifest that was worked through, in hex.
	Manifest string `json:"manifest_sha256"`
	// Columns holds one result per manifest entry, in the manifest's order.
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
	// LegalReason and RetainedUntil are set for retained rows only.
	LegalReason   string     `json:"legal_reason,omitempty"`
	RetainedUntil *time.Time `json:"retained_until,omitempty"`
}
