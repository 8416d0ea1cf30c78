package domain

import "errors"

// Account is one side of the books.
type Account string

// The accounts.
const (
	Receivable Account = "receivable" // what customers owe
	Revenue    Account = "revenue"    // what was sold
	Cash       Account = "cash"       // what was paid in
	Refunds    Account = "refunds"    // what was given back
)

// Kind says why money moved.
type Kind string

// The kinds of postings.
const (
	Invoicing Kind = "invoice"
	Payment   Kind = "payment"
	Refunding Kind = "refund"
	Voiding   Kind = "void"
)

// Entry moves an amount on one account: debits are positive, credits negative.
type Entry struct {
	Account     Account
	AmountMinor int64
}

// Posting is one transaction of the ledger. Its entries sum to zero.
type Posting struct {
	Kind    Kind
	Entries []Entry
}

// ErrUnbalanced is a posting that would make or destroy money. The database
// refuses it too.
var ErrUnbalanced = errors.New("posting does not sum to zero")

// move debits one account and credits another.
func move(kind Kind, debit, credit Account, amountMinor int64) Posting {
	return Posting{Kind: kind, Entries: []Entry{{debit, amountMinor}, {credit, -amountMinor}}}
}

// IsEmpty reports that nothing was moved.
func (p Posting) IsEmpty() bool { return len(p.Entries) == 0 }

// Check returns ErrUnbalanced unless the entries sum to zero. Amounts are
// bounded by MaxAmountMinor, so a handful of them cannot overflow.
func (p Posting) Check() error {
	var sum int64
	for _, e := range p.Entries {
		if e.AmountMinor == 0 || e.AmountMinor > MaxAmountMinor || e.AmountMinor < -MaxAmountMinor {
			return ErrUnbalanced
		}
		sum += e.AmountMinor
	}
	if sum != 0 || len(p.Entries) < 2 {
		return ErrUnbalanced
	}
	return nil
}
