package shop

import (
	"fmt"
	"strings"

	orders "github.com/shadowless/shadowless/services/orders/api"
)

// Product is one thing of the demo's shelf. The prices lie on both sides of the
// amount up to which the demo's policy lets a customer refund.
type Product struct {
	SKU        string
	Name       string
	PriceMinor int64
}

// Currency of the shelf, ISO 4217.
const Currency = "EUR"

// MaxQuantity of one product in one order.
const MaxQuantity = 20

// Shelf is what the page offers.
var Shelf = []Product{
	{SKU: "coffee-beans", Name: "Coffee beans", PriceMinor: 1450},
	{SKU: "desk-lamp", Name: "Desk lamp", PriceMinor: 4900},
	{SKU: "standing-desk", Name: "Standing desk", PriceMinor: 34900},
}

func product(sku string) (Product, bool) {
	for _, p := range Shelf {
		if p.SKU == sku {
			return p, true
		}
	}
	return Product{}, false
}

// Describe is an order in words: "2 × Desk lamp".
func Describe(o orders.Order) string {
	lines := make([]string, 0, len(o.Items))
	for _, item := range o.Items {
		name := item.SKU
		if p, ok := product(item.SKU); ok {
			name = p.Name
		}
		lines = append(lines, fmt.Sprintf("%d × %s", item.Quantity, name))
	}
	return strings.Join(lines, ", ")
}
