package domain

import (
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
)

// What billing refuses, beside what every service does.
var (
	ErrNotFound       = problem.New(http.StatusNotFound, "invoice-not-found", "There is no such invoice among yours.")
	ErrInvalid        = problem.New(http.StatusUnprocessableEntity, "invalid-invoice", "The amount, the currency or the customer of the invoice is not valid.")
	ErrInvoiceDiffers = problem.New(http.StatusConflict, "invoice-differs", "This order has an invoice of another amount, currency or customer.")
	ErrNotOpen        = problem.New(http.StatusConflict, "invoice-not-open", "Only an open invoice can be paid.")
	ErrWrongAmount    = problem.New(http.StatusUnprocessableEntity, "wrong-amount", "A payment must be of exactly the open amount.")
	ErrNotPaid        = problem.New(http.StatusConflict, "invoice-not-paid", "Only a paid invoice can be refunded.")
	ErrTooMuch        = problem.New(http.StatusUnprocessableEntity, "refund-too-large", "A refund must be positive and not above what was paid and not yet refunded.")
	ErrUserErased     = problem.New(http.StatusForbidden, "user-erased", "This user was erased; nothing can be written for them.")
	ErrChanged        = problem.New(http.StatusConflict, "invoice-changed", "The invoice was changed while the permission was asked for. Try again.")
)
