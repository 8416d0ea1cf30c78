package domain

import (
	"context"

	"github.com/shadowless/shadowless/internal/page"
	"github.com/shadowless/shadowless/pkg/identity/directory"
)

// Profiles are display data by user ID, of those users who are known.
type Profiles map[string]directory.Profile

// Customers is orders with the people behind them, as staff see them. Where
// names come from is all that differs here between a service that asks a
// directory and one that joins a table of users.
type Customers interface {
	// OrdersOf returns up to p.Limit+1 of a user's orders, newest first.
	OrdersOf(ctx context.Context, owner Owner, p page.Page) ([]Order, Profiles, error)
	// TenantOrders returns up to p.Limit+1 of the tenant's orders, newest first.
	TenantOrders(ctx context.Context, tenantID string, p page.Page) ([]Order, Profiles, error)
	// Contact returns display data with the e-mail address of a user who has
	// ordered in the tenant, or nil.
	Contact(ctx context.Context, owner Owner) (*directory.Profile, error)
}

// StaffRows are the rows without names.
type StaffRows interface {
	Orders(ctx context.Context, owner Owner, p page.Page) ([]Order, error)
	TenantOrders(ctx context.Context, tenantID string, p page.Page) ([]Order, error)
}

// Directory names the customers of rows by asking a directory once a page: a page
// that can be shown without names is shown without them.
type Directory struct {
	rows  StaffRows
	names directory.Directory
	note  func(ctx context.Context, what string, err error)
}

var _ Customers = (*Directory)(nil)

// NewDirectory makes it. names may be nil: then nobody has one.
func NewDirectory(rows StaffRows, names directory.Directory, note func(context.Context, string, error)) *Directory {
	return &Directory{rows: rows, names: names, note: note}
}

// OrdersOf implements Customers.
func (d *Directory) OrdersOf(ctx context.Context, owner Owner, p page.Page) ([]Order, Profiles, error) {
	orders, err := d.rows.Orders(ctx, owner, p)
	if err != nil || len(orders) == 0 {
		return nil, nil, err // not a directory for whoever has an ID to try
	}
	return orders, d.lookup(ctx, []string{owner.UserID}), nil
}

// TenantOrders implements Customers.
func (d *Directory) TenantOrders(ctx context.Context, tenantID string, p page.Page) ([]Order, Profiles, error) {
	orders, err := d.rows.TenantOrders(ctx, tenantID, p)
	if err != nil || len(orders) == 0 {
		return nil, nil, err
	}
	var ids []string
	seen := map[string]bool{}
	for _, o := range orders[:min(len(orders), p.Limit)] {
		if !seen[o.Owner.UserID] {
			seen[o.Owner.UserID] = true
			ids = append(ids, o.Owner.UserID)
		}
	}
	return orders, d.lookup(ctx, ids), nil
}

// Contact implements Customers.
func (d *Directory) Contact(ctx context.Context, owner Owner) (*directory.Profile, error) {
	orders, err := d.rows.Orders(ctx, owner, page.Page{Limit: 1})
	if err != nil || len(orders) == 0 {
		return nil, err
	}
	if profile, known := d.lookup(ctx, []string{owner.UserID}, directory.WithEmail())[owner.UserID]; known {
		return &profile, nil
	}
	return nil, nil
}

func (d *Directory) lookup(ctx context.Context, ids []string, options ...directory.Option) Profiles {
	if d.names == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	profiles, err := d.names.Lookup(ctx, ids, options...)
	if err != nil {
		d.note(ctx, "the directory did not answer", err)
	}
	return profiles
}
