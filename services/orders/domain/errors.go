package domain

import (
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
)

// What orders refuses, beside what every service does.
var (
	ErrNotFound      = problem.New(http.StatusNotFound, "order-not-found", "There is no such order among yours.")
	ErrNoContact     = problem.New(http.StatusNotFound, "contact-not-found", "There is no address of a customer by this ID.")
	ErrItems         = problem.New(http.StatusUnprocessableEntity, "invalid-items", "An order has 1 to 100 items, each with a SKU of 1 to 64 letters, digits, dots, dashes or underscores, a quantity of 1 to 1000 and a price of 1 or more.")
	ErrCurrency      = problem.New(http.StatusUnprocessableEntity, "invalid-currency", "The currency must be a code of three capital letters (ISO 4217).")
	ErrTotal         = problem.New(http.StatusUnprocessableEntity, "total-too-large", "The order's total is too large.")
	ErrNotCancelable = problem.New(http.StatusConflict, "order-not-cancelable", "This order was paid; ask for a refund instead.")
	ErrUserErased    = problem.New(http.StatusForbidden, "user-erased", "This user was erased; nothing can be written for them.")
)
